"""Writes pytorch.json: what PyTorch gives where a layer has a kink, a tie or a convention of its own.

Every case has an input `x`, the output's gradient `g`, and PyTorch's output `y` and input gradient `dx`, in double
precision. Run with PyTorch 2.x installed: python pytorch.py
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
CASES = []


def case(op, f, x, **settings):
    x = x.clone().requires_grad_()
    y = f(x)
    g = ((torch.arange(y.numel()) * 7 % 5) - 1.5).reshape(y.shape)
    y.backward(g)
    numbers = {name: t.detach().flatten().tolist() for name, t in [("x", x), ("g", g), ("y", y), ("dx", x.grad)]}
    CASES.append({"op": op, **settings, "shape": list(x.shape), "output": list(y.shape), **numbers})


def kinks(*points):
    """The points, signed zeros, and their neighbours half a unit away."""
    near = [p + d for p in points for d in (-0.5, 0.0, 0.5)]
    return torch.tensor([0.0, -0.0, *near])


def ties(*shape):
    """Maps of three levels, so that most windows tie, with signed zeros among them."""
    i = torch.arange(torch.Size(shape).numel())
    return torch.tensor([-1.0, -0.0, 0.0, 1.0, 1.0])[(i * i * 3 + i // 4) % 5].reshape(shape)


case("Relu", F.relu, kinks(0))
case("Relu2", lambda x: F.relu(x) ** 2, kinks(0))
case("Relu6", F.relu6, kinks(0, 6))
case("LeakyRelu", lambda x: F.leaky_relu(x, 0.2), kinks(0), alpha=0.2)
case("Elu", lambda x: F.elu(x, 2.0), kinks(0), alpha=2.0)
case("HardSigmoid", F.hardsigmoid, kinks(-3, 3))
case("HardSwish", F.hardswish, kinks(-3, 3))
case("Gelu", F.gelu, kinks(-8, -1, 1, 8))
case("GeluPytorchTanh", lambda x: F.gelu(x, approximate="tanh"), kinks(-8, -1, 1, 8))
case("Silu", F.silu, kinks(-30, -1, 1, 30))
case("Mish", F.mish, kinks(-30, -1, 1, 30))
case("Tanh", torch.tanh, kinks(-9, 9))
case("Sigmoid", torch.sigmoid, kinks(-40, 40))
case("PReLU", lambda x: F.prelu(x, torch.tensor([0.25])), kinks(0), alpha=0.25)

for h, w in [(7, 6), (6, 5)]:
    maps = ties(2, 1, h, w)
    for kernel, stride, padding in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)]:
        for ceil in (False, True):
            settings = {"kernel": kernel, "stride": stride, "padding": padding, "ceil": ceil}
            f = lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)
            case("MaxPool2d", f, maps, **settings)
            for counted in (False, True):
                f = lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil, counted)
                case("AvgPool2d", f, maps[:1], **settings, counted=counted)
    for size in [(1, 1), (2, 3), (4, 4), (9, 8)]:
        case("AdaptiveMaxPool2d", lambda x: F.adaptive_max_pool2d(x, size), maps, size=size)
        case("AdaptiveAvgPool2d", lambda x: F.adaptive_avg_pool2d(x, size), maps[:1], size=size)

for h, w in [(3, 4), (2, 1)]:
    maps = ties(1, 2, h, w)
    for size in [(3, 4), (6, 8), (5, 7), (1, 2)]:
        case("Nearest", lambda x: F.interpolate(x, size, mode="nearest"), maps, size=size)
        for aligned in (False, True):
            f = lambda x: F.interpolate(x, size, mode="bilinear", align_corners=aligned)
            case("Bilinear", f, maps, size=size, aligned=aligned)

constant = torch.tensor([[2.0, 2.0, 2.0], [0.0, -0.0, 0.0], [1.0, -1.0, 3.0]])
case("LayerNorm", lambda x: F.layer_norm(x, (3,), eps=1e-5), constant)
case("RmsNorm", lambda x: F.rms_norm(x, (3,), eps=1e-5), constant)
case("GroupNorm", lambda x: F.group_norm(x, 2, eps=1e-5), ties(2, 4, 3))
case("Softmax", lambda x: torch.softmax(x, -1), torch.tensor([[0.0, -0.0, 0.0], [900.0, 900.0, -900.0]]))

kernel = torch.tensor([1.0, -2.0, 0.5, 3.0]).reshape(1, 1, 2, 2)
for stride, padding, grown, dilation in [(1, 0, 0, 1), (2, 0, 1, 1), (2, 1, 0, 1), (3, 1, 2, 2)]:
    f = lambda x: F.conv_transpose2d(x, kernel, None, stride, padding, grown, 1, dilation)
    settings = {"stride": stride, "padding": padding, "grown": grown, "dilation": dilation}
    case("ConvTranspose2d", f, ties(1, 1, 3, 4), **settings)

text = ",\n".join(json.dumps(case) for case in CASES)
version = torch.__version__.split("+")[0]
path = pathlib.Path(__file__).with_name("pytorch.json")
path.write_text(f'{{"pytorch": "{version}", "cases": [\n{text}\n]}}\n')
print(f"{len(CASES)} cases, {path.stat().st_size} bytes")
