"""pytorch-grad-cam: class activation maps before they are scaled and resized, and ROAD."""

import contextlib
import functools
from unittest import mock

import pytorch_grad_cam
import torch
from pytorch_grad_cam.metrics.road import ROADMostRelevantFirst
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget, ClassifierOutputTarget


@functools.cache
def explainer(kind, net, layer):
    return kind(net, [net.get_submodule(layer)])


def cam(kind):
    """What the package does up to the map of one layer."""

    def run(setup, settings):
        this = explainer(kind, setup.net, settings["layer"])
        targets = [ClassifierOutputTarget(int(y)) for y in setup.y]
        with contextlib.nullcontext() if this.uses_gradients else torch.no_grad():
            outputs = this.activations_and_grads(setup.x)
            if this.uses_gradients:
                setup.net.zero_grad()
                sum(target(output) for target, output in zip(targets, outputs)).backward()
            seen = this.activations_and_grads
            first = lambda tensors: tensors[0].detach().cpu().numpy() if tensors else None
            layer = setup.net.get_submodule(settings["layer"])
            told = (setup.x, layer, targets, first(seen.activations), first(seen.gradients), False)
            return torch.from_numpy(this.get_cam_image(*told))[:, None]

    return run


def full_grad(setup, _):
    targets = [ClassifierOutputTarget(int(y)) for y in setup.y]
    this = pytorch_grad_cam.FullGrad(setup.net, [])
    map = torch.from_numpy(this(setup.x, targets))[:, None]
    this.activations_and_grads.release()
    return map


def road(setup, settings):
    map = setup.input("map")[: setup.batch, 0]
    low, high = (part.view(-1, 1, 1) for part in [map.amin((1, 2)), map.amax((1, 2))])
    targets = [ClassifierOutputSoftmaxTarget(int(y)) for y in setup.y]
    # The noise is the package's own; where both sides are compared there is none.
    still = mock.patch("torch.randn_like", torch.zeros_like) if settings.get("given") else contextlib.nullcontext()
    with still:
        metric = ROADMostRelevantFirst(percentile=80)
        return torch.as_tensor(metric(setup.x, ((map - low) / (high - low)).numpy(), targets, setup.net))


WORKS = {
    "grad-cam": cam(pytorch_grad_cam.GradCAM),
    "grad-cam-plus-plus": cam(pytorch_grad_cam.GradCAMPlusPlus),
    "xgrad-cam": cam(pytorch_grad_cam.XGradCAM),
    "hires-cam": cam(pytorch_grad_cam.HiResCAM),
    "layer-cam": cam(pytorch_grad_cam.LayerCAM),
    "grad-cam-element-wise": cam(pytorch_grad_cam.GradCAMElementWise),
    "eigen-cam": cam(pytorch_grad_cam.EigenCAM),
    "eigen-grad-cam": cam(pytorch_grad_cam.EigenGradCAM),
    "score-cam": cam(pytorch_grad_cam.ScoreCAM),
    "ablation-cam": cam(pytorch_grad_cam.AblationCAM),
    "full-grad": full_grad,
    "road": road,
}
