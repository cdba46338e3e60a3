"""What the attributions of Captum's DeepLift miss of f(x) - f(x') on models of the reference data.

    python deep_lift.py FOLDER...

Cases come in on stdin and go out on stdout, one line of JSON each: per row sum - difference and the difference, or what
Captum said. Unchanged Captum, float64, one row per call. Needs captum, torch, timm and safetensors.
"""
import json, os, sys, warnings
from collections import OrderedDict

warnings.filterwarnings("ignore")
import torch, timm
import torch.nn as nn
import torch.nn.functional as F
from captum.attr import DeepLift
from safetensors.torch import load_file


def folder_of(model):
    return next(root for root in sys.argv[1:] if os.path.isdir(f"{root}/models/{model}"))


def config(model):
    with open(f"{folder_of(model)}/models/{model}/config.json") as file:
        return json.load(file)


class Functional(nn.Module):
    """A sequence whose ReLUs and pools are functions."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                x = F.relu(x)
            elif isinstance(layer, nn.MaxPool2d):
                x = F.max_pool2d(x, layer.kernel_size, layer.stride)
            else:
                x = layer(x)
        return x


class Block(nn.Module):
    """A block of the CIFAR ResNet: its shortcut picks every other pixel and pads channels."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.stride, self.pad = stride, (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.pad:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return self.relu2(y + x)


def cifar(blocks):
    layers = OrderedDict(conv1=nn.Conv2d(3, 16, 3, 1, 1, bias=False), bn1=nn.BatchNorm2d(16), relu=nn.ReLU())
    width = 16
    for stage, outputs in enumerate((16, 32, 64)):
        steps = []
        for block in range(blocks):
            steps.append(Block(width, outputs, 2 if stage > 0 and block == 0 else 1))
            width = outputs
        layers[f"layer{stage + 1}"] = nn.Sequential(*steps)
    layers.update(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(64, 10))
    return nn.Sequential(layers)


def lenet():
    return nn.Sequential(OrderedDict(
        conv_1=nn.Conv2d(1, 6, 5), relu_1=nn.ReLU(), pool_1=nn.MaxPool2d(2, 2),
        conv_2=nn.Conv2d(6, 16, 5), relu_2=nn.ReLU(), pool_2=nn.MaxPool2d(2, 2), flatten=nn.Flatten(),
        fc_1=nn.Linear(256, 120), relu_3=nn.ReLU(), fc_2=nn.Linear(120, 84), relu_4=nn.ReLU(), fc_3=nn.Linear(84, 10)))


def perceptron(dims, activation):
    layers = OrderedDict()
    for i, (inputs, outputs) in enumerate(zip(dims, dims[1:])):
        layers[f"fc{i + 1}"] = nn.Linear(inputs, outputs)
        layers[f"act{i + 1}"] = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]()
    layers.popitem()
    return nn.Sequential(layers)


def convnet(layers, flatten_before):
    made = OrderedDict()
    for layer in layers:
        settings = {k: v for k, v in layer.items() if k not in ("name", "type", "params")}
        if layer["name"] == flatten_before:
            made["flatten"] = nn.Flatten()
        kind = getattr(nn, layer["type"])
        if layer["type"] == "BatchNorm2d":
            channels = made["conv2"].out_channels
            made[layer["name"]] = kind(channels, eps=layer["eps"])
        else:
            allowed = kind.__init__.__code__.co_varnames
            made[layer["name"]] = kind(**{k: v for k, v in settings.items() if k in allowed})
    return nn.Sequential(made)


def model(name):
    c = config(name)
    if name == "lenet_mnist":
        made = lenet()
    elif name == "resnet20_cifar":
        made = cifar(c["blocks_per_stage"])
    elif name.startswith("mlp"):
        made = perceptron(c["dims"], c["activation"])
    elif name.startswith("convnet"):
        made = convnet(c["layers"], c["flatten_before"])
    elif name == "timm_test_resnet":
        made = timm.create_model("test_resnet", num_classes=c["num_classes"])
    elif name == "timm_plain_resnet":
        block = getattr(timm.models.resnet, c["block"])
        made = timm.models.resnet.ResNet(
            block, layers=c["layers"], channels=c["channels"], num_classes=c["num_classes"], stem_width=c["stem_channels"])
    else:
        keys = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "num_classes")
        made = timm.models.vision_transformer.VisionTransformer(**{k: c[k] for k in keys})
    found = made.load_state_dict(load_file(f"{folder_of(name)}/models/{name}/model.safetensors"), strict=False)
    for key in (key for key in found.missing_keys if "num_batches" not in key):
        owner, parameter = key.rsplit(".", 1)
        assert parameter == "bias", key
        setattr(made.get_submodule(owner), parameter, None)
    assert not found.unexpected_keys, found
    for module in made.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return made.double().eval()


def reused(name):
    made = model(name)
    relu = nn.ReLU()
    return nn.Sequential(*(relu if isinstance(layer, nn.ReLU) else layer for layer in made))


FORMS = {
    "as stored": model,
    "functional": lambda name: Functional(model(name)),
    "one ReLU reused": reused,
    "softmax output": lambda name: nn.Sequential(model(name), nn.Softmax(1)),
}


def explain(net, x, reference, classes):
    residuals, differences = [], []
    for row in range(x.shape[0]):
        one, target = x[row : row + 1], classes[row]
        attributed = DeepLift(net).attribute(one, baselines=reference, target=target).sum()
        with torch.no_grad():
            difference = (net(one) - net(reference))[0, target]
        residuals.append((attributed - difference).item())
        differences.append(difference.item())
    return {"residual": residuals, "difference": differences}


for line in sys.stdin:
    case = json.loads(line)
    inputs = load_file(f"{folder_of(case['model'])}/inputs/{case['model']}.safetensors")
    x = inputs["x"][: case["rows"]].double()
    reference = torch.zeros_like(x[:1]) if case["reference"] == "zero" else inputs["b0"].double()
    try:
        found = explain(FORMS[case["form"]](case["model"]), x, reference, case["classes"])
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:100]}
    print(json.dumps(found), flush=True)
