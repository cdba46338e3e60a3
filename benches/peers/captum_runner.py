"""Captum."""

import itertools
from unittest import mock

import numpy
import torch
from captum import attr
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr._core import deep_lift as rescale
from torch import nn


def plain(method, **told):
    """A method that is told nothing but the class."""
    return lambda setup, _: method(setup.net).attribute(setup.x, target=setup.y, **told)


def at_layer(method):
    def run(setup, settings):
        steps = {"n_steps": settings["steps"]} if "steps" in settings else {}
        return method(setup.net, setup.layer(settings)).attribute(setup.x, target=setup.y, **steps)

    return run


def of_neuron(method, **told):
    def run(setup, settings):
        steps = {"n_steps": settings["steps"]} if "steps" in settings else {}
        unit = tuple(settings["unit"])
        return method(setup.net, setup.layer(settings)).attribute(setup.x, unit, **steps, **told)

    return run


def neuron_conductance(setup, settings):
    explainer = attr.NeuronConductance(setup.net, setup.layer(settings))
    told = {"n_steps": settings["steps"], "method": "gausslegendre", "target": setup.y}
    return explainer.attribute(setup.x, tuple(settings["unit"]), **told)


def integrated_gradients(setup, settings):
    steps = settings["steps"]
    internal = min(settings["internal_batch"].get(setup.model, steps * setup.batch), steps * setup.batch)
    explainer = attr.IntegratedGradients(setup.net)
    return explainer.attribute(setup.x, target=setup.y, n_steps=steps, internal_batch_size=internal)


def smoothgrad(setup, settings):
    tunnel = attr.NoiseTunnel(attr.Saliency(setup.net))
    told = {"nt_samples": settings["samples"], "stdevs": 0.15, "target": setup.y, "abs": False}
    if not settings.get("given"):
        return tunnel.attribute(setup.x, **told)
    noise = setup.input("noise")[: settings["samples"]].repeat(setup.batch, 1, 1, 1)
    with mock.patch("torch.normal", lambda *_: noise):
        return tunnel.attribute(setup.x, **told)


def expected_gradients(setup, settings):
    explainer, samples = attr.GradientShap(setup.net), settings["samples"]
    told = {"baselines": setup.input("references"), "n_samples": samples, "stdevs": 0.0, "target": setup.y}
    if not settings.get("given"):
        return explainer.attribute(setup.x, **told)
    draws = [setup.stored[name][:samples].repeat(setup.batch) for name in ["draw_alphas", "draw_references"]]
    alphas, references = (draw.double().numpy() if draw.is_floating_point() else draw.numpy() for draw in draws)
    given = {"uniform": lambda *_: alphas, "choice": lambda *_: references}
    with mock.patch.multiple(numpy.random, **given):
        return explainer.attribute(setup.x, **told)


class Behind(nn.Module):
    """Captum's rule of a pool is not seen where its input is the output of a ReLU: this parts them."""

    def forward(self, x):
        return x.clone()


def scattered(module, inputs, outputs, grad_input, grad_output, eps=1e-10):
    """Captum's rule of max pools with sums where its own overwrites: windows that overlap share a winner."""
    (x, reference), (y, at_reference) = inputs.chunk(2), outputs.chunk(2)
    most, gap = torch.max(y, at_reference), torch.cat(2 * [x - reference])
    told = (module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)
    winners = nn.functional.max_pool2d(module.input, *told, return_indices=True)[1]
    sums = torch.zeros_like(module.input).flatten(2)
    handed = grad_output * torch.cat([most - at_reference, y - most])
    sums = sums.scatter_add_(2, winners.flatten(2), handed.flatten(2)).view_as(module.input)
    both = torch.cat(2 * [sum(sums.chunk(2))])
    return torch.where(gap.abs() < eps, torch.zeros_like(grad_input), both / gap)


def mended(net):
    """The network under Captum's DeepLIFT without the two defects of its max pools."""
    rescale.SUPPORTED_NON_LINEAR[nn.MaxPool2d] = scattered
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d) and not isinstance(module, nn.Sequential):
                setattr(module, name, nn.Sequential(Behind(), child))
    return net


def deep_lift(setup, _):
    return attr.DeepLift(mended(setup.net)).attribute(setup.x, target=setup.y)


def deep_lift_shap(setup, _):
    explainer = attr.DeepLiftShap(mended(setup.net))
    return explainer.attribute(setup.x, baselines=setup.input("references"), target=setup.y)


def labels(setup, cells):
    height, width = setup.x.shape[2:]
    cell = lambda length: torch.arange(length, device=setup.device) * cells // length
    return (cell(height)[:, None] * cells + cell(width))[None, None]


def occlusion(setup, settings):
    channels, stride = setup.x.shape[1], settings["stride"]
    window = (channels, settings["window"], settings["window"])
    told = {"strides": (channels, stride, stride), "target": setup.y, "perturbations_per_eval": at_once(setup, settings)}
    with torch.no_grad():
        return attr.Occlusion(setup.net).attribute(setup.x, window, **told)[:, :1]


def at_once(setup, settings):
    return settings["at_once"].get(setup.model, 16)


def over_features(method):
    def run(setup, settings):
        told = {"feature_mask": labels(setup, settings["cells"]), "perturbations_per_eval": at_once(setup, settings)}
        told |= {"n_samples": settings["samples"]} if "samples" in settings else {}
        with torch.no_grad():
            return method(setup.net).attribute(setup.x, target=setup.y, **told)[:, :1]

    return run


def shapley_of_few(setup, settings):
    """What both samplers tend to, by definition: Captum's own exact values are rounded to single precision."""
    groups, count = labels(setup, settings["cells"]), settings["cells"] ** 2
    present = torch.tensor(list(itertools.product([0, 1], repeat=count)), dtype=setup.dtype, device=setup.device)
    with torch.no_grad():
        scores = setup.net(setup.x * present[:, groups[0]])[:, setup.y[0]]
    score = lambda players: scores[sum(1 << (count - 1 - player) for player in players)]
    values, orders = torch.zeros(count, dtype=setup.dtype, device=setup.device), list(itertools.permutations(range(count)))
    for order in orders:
        for at, player in enumerate(order):
            values[player] += (score(order[: at + 1]) - score(order[:at])) / len(orders)
    return values[groups]


def sampled_or_exact(method):
    sampled = over_features(method)
    return lambda setup, settings: (shapley_of_few if settings.get("given") else sampled)(setup, settings)


def lime(setup, settings):
    def weight(original, perturbed, present, **_):
        distance = 1 - (present.mean(dtype=setup.dtype)).sqrt()
        return torch.exp(-((distance / 0.25) ** 2) / 2)

    def given(original, **_):
        for sample in setup.input("lime_samples").long():
            yield sample[None]

    perturbed = {"perturb_func": given} if settings.get("given") else {}
    explainer = attr.Lime(setup.net, interpretable_model=SkLearnRidge(alpha=1.0), similarity_func=weight, **perturbed)
    groups = labels(setup, settings["cells"])
    # Spread over the input's shape, the coefficients are rounded to single precision.
    told = {"n_samples": settings["samples"], "perturbations_per_eval": at_once(setup, settings)}
    told |= {"return_input_shape": False, "feature_mask": groups, "target": setup.y}
    with torch.no_grad():
        return explainer.attribute(setup.x, **told)[0][groups]


WORKS = {
    "saliency": plain(attr.Saliency),
    "input-x-gradient": plain(attr.InputXGradient),
    "guided-backprop": plain(attr.GuidedBackprop),
    "deconvnet": plain(attr.Deconvolution),
    "integrated-gradients": integrated_gradients,
    "integrated-gradients-exact": integrated_gradients,
    "expected-gradients": expected_gradients,
    "smoothgrad": smoothgrad,
    "deep-lift": deep_lift,
    "deep-lift-shap": deep_lift_shap,
    "guided-grad-cam": lambda setup, settings: attr.GuidedGradCam(setup.net, setup.layer(settings)).attribute(
        setup.x, target=setup.y
    ),
    "layer-gradient-x-activation": at_layer(attr.LayerGradientXActivation),
    "layer-integrated-gradients": at_layer(attr.LayerIntegratedGradients),
    "layer-conductance": at_layer(attr.LayerConductance),
    "internal-influence": at_layer(attr.InternalInfluence),
    "neuron-saliency": of_neuron(attr.NeuronGradient),
    "neuron-integrated-gradients": of_neuron(attr.NeuronIntegratedGradients),
    "neuron-conductance": neuron_conductance,
    "occlusion": occlusion,
    "feature-ablation": over_features(attr.FeatureAblation),
    "lime": lime,
    "kernel-shap": sampled_or_exact(attr.KernelShap),
    "shapley-values": sampled_or_exact(attr.ShapleyValueSampling),
}
