"""Quantus: one number for each image, or a curve."""

import functools
from unittest import mock

import numpy
import torch

# Names that Quantus uses and numpy has dropped.
numpy.trapz, numpy.NaN = numpy.trapezoid, numpy.nan
import quantus

# Equal values in the order of their places, which numpy leaves open.
STABLE = functools.partial(numpy.argsort, kind="stable")


def rated(metric, chosen=lambda _: {}, **call):
    def run(setup, settings):
        arrays = {name: setup.input(name)[: setup.batch].cpu().numpy() for name in ["x", "y", "map"]}
        batch = {f"{'a' if name == 'map' else name}_batch": array for name, array in arrays.items()}
        with mock.patch("numpy.argsort", STABLE):
            this = metric(disable_warnings=True, **chosen(settings))
            told = batch | call_of(setup, call)
            scores = this(model=setup.net, channel_first=True, device=setup.device, **told)
        return torch.as_tensor(numpy.array(scores, dtype=numpy.float64))

    return run


def call_of(setup, call):
    masks = {"s_batch": setup.stored["masks"][: setup.batch, None].numpy()} if call.get("masks") else {}
    asked = {"explain_func": gradients, "a_batch": None} if call.get("explains") else {}
    return {"softmax": call.get("softmax", False)} | masks | asked


def shifted(arr, input_shift, **_):
    """The peer's own leaves the first value where it is."""
    return arr + input_shift


def gradients(model, inputs, targets, **_):
    weight = next(model.parameters())
    x = torch.as_tensor(inputs, dtype=weight.dtype, device=weight.device).requires_grad_()
    scores = model(x).gather(1, torch.as_tensor(targets, device=x.device)[:, None]).sum()
    return torch.autograd.grad(scores, x)[0].cpu().numpy()


WORKS = {
    "pointing-game": rated(quantus.PointingGame, masks=True),
    "relevance-mass-accuracy": rated(quantus.RelevanceMassAccuracy, masks=True),
    "non-sensitivity": rated(quantus.NonSensitivity, lambda _: {"features_in_step": 1}, softmax=True),
    "completeness": rated(quantus.Completeness, lambda _: {"perturb_baseline": 0.0, "abs": False, "normalise": False}),
    "input-invariance": rated(
        quantus.InputInvariance,
        lambda _: {"input_shift": 1.0, "perturb_func": shifted, "abs": False, "normalise": False},
        explains=True,
    ),
    "deletion": rated(
        quantus.PixelFlipping,
        lambda settings: {"features_in_step": settings["step"], "perturb_baseline": 0.0},
        softmax=True,
    ),
}
