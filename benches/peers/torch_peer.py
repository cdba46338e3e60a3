"""PyTorch, torchvision, timm, Captum, pytorch-grad-cam and Quantus as a peer: one row of the side-by-side benchmark, told line by line.

    torch_peer.py prepare FOLDER TRAINED MODEL...    writes the models' weights and the inputs; TRAINED has those of the small
                                                     ones, or is `none`
    torch_peer.py work ROW FOLDER DTYPE STEPS THREADS    answers `run` with seconds, `map FILE` with the result in FILE
"""

import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy
import small
import torch
from safetensors.torch import load_file, save_file

SEED = 0
CALIBRATED = 16
FEW = 4
# Masks of RISE where both sides are compared: four make four numbers, and which side rounds them better is chance.
COMPARED_MASKS = 32
CELLS = 7
AT_ONCE = 10
BEST_INTERNAL_BATCH = {"resnet50": 10, "vit-b16": 25}
BEST_PERTURBATIONS = {"resnet50": 16, "vgg16": 8}


def build(model):
    if model in small.BUILD:
        return small.BUILD[model]()
    if model in ("resnet50", "vgg16"):
        import torchvision

        return getattr(torchvision.models, model)(weights=None)
    import timm

    return timm.create_model("vit_base_patch16_224", pretrained=False)


def calibrate(net, shape=(3, 224, 224)):
    """Random weights whose activations neither vanish nor grow: batch norms get the statistics of noise."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(0.0, 0.1)
        net.train()
        net(torch.randn(CALIBRATED, *shape))


def prepare(folder, trained, models):
    torch.manual_seed(SEED)
    for model in models:
        target = folder / model
        target.mkdir(parents=True, exist_ok=True)
        net = build(model)
        if model in small.BUILD:
            prepare_small(model, net, target, trained)
            continue
        architecture = "vit_base_patch16_224" if model == "vit-b16" else model
        calibrate(net)
        tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
        save_file(tensors, target / "model.safetensors")
        config = {"architecture": architecture, "num_classes": 1000, "global_pool": "token" if "vit" in model else "avg"}
        (target / "config.json").write_text(json.dumps(config))
    x = torch.randn(10, 3, 224, 224)
    # What the samplers take where both sides are compared: masks of RISE, and who is present for LIME.
    samples = (torch.rand(FEW, CELLS * CELLS) < 0.5).float()
    save_file({"x": x, "masks": rise_masks(COMPARED_MASKS), "samples": samples}, folder / "input.safetensors")


def prepare_small(model, net, target, trained):
    """Trained weights and real images where they are, else both at random."""
    if trained:
        name = small.TRAINED[model]
        net.load_state_dict(load_file(trained / "models" / name / "model.safetensors"))
        x = load_file(trained / "inputs" / f"{name}.safetensors")["x"][: small.SHAPE[model][0]]
    else:
        calibrate(net, small.SHAPE[model][1:])
        x = small.images(model)
    net.eval()
    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, target / "model.safetensors")
    (target / "config.json").write_text(json.dumps(small.CONFIG[model]))
    save_file(small.subject(net, x), target / "subject.safetensors")


def rise_masks(count, cells=CELLS, size=224):
    """The masks of the authors' code: a grid of cells brought to more than the image, and shifted."""
    per_cell = -(-size // cells)
    grid = (torch.rand(count, 1, cells, cells) < 0.5).float()
    side = (cells + 1) * per_cell
    large = torch.nn.functional.interpolate(grid, (side, side), mode="bilinear", align_corners=False)[:, 0]
    shifts = torch.randint(0, per_cell, (count, 2)).tolist()
    return torch.stack([mask[y : y + size, x : x + size] for mask, (y, x) in zip(large, shifts)])


def grid_labels(cells, size=224):
    cell = torch.arange(size) * cells // size
    return (cell[:, None] * cells + cell)[None, None]


class Row:
    def __init__(self, row, folder, dtype, steps):
        self.work, model = row.split("/")
        self.net = build(model)
        self.net.load_state_dict(load_file(folder / model / "model.safetensors"))
        self.net.eval().to(dtype)
        if self.work == "non-sensitivity":
            self.subject = load_file(folder / model / "subject.safetensors")
        inputs = load_file(folder / "input.safetensors")
        self.x, self.masks, self.samples = (inputs[name].to(dtype) for name in ["x", "masks", "samples"])
        self.steps, self.internal = steps, BEST_INTERNAL_BATCH.get(model)
        self.perturbations = int(os.environ.get("PERTURBATIONS", BEST_PERTURBATIONS.get(model, 1)))

    def __call__(self):
        if self.work == "non-sensitivity":
            return self.non_sensitivity()
        if self.work.startswith("forward"):
            with torch.no_grad():
                return self.net(self.x[:8])
        if self.work.endswith("-cam"):
            return self.cam()
        if self.work in ["rise", "lime", "kernel-shap"]:
            with torch.no_grad():
                return getattr(self, self.work.replace("-", "_"))()
        if self.work == "occlusion":
            from captum.attr import Occlusion

            window = (3, self.steps, self.steps)
            with torch.no_grad():
                map = Occlusion(self.net).attribute(
                    self.x[:1], window, strides=window, target=0, perturbations_per_eval=self.perturbations
                )
            return map[:, :1]
        if self.work.startswith("gradient"):
            x = self.x.clone().requires_grad_()
            return torch.autograd.grad(self.net(x)[:, 0].sum(), x)[0]
        from captum.attr import IntegratedGradients

        explainer = IntegratedGradients(self.net)
        internal = min(self.internal, self.steps)
        return explainer.attribute(self.x[:1], target=0, n_steps=self.steps, internal_batch_size=internal)

    def non_sensitivity(self):
        """The scores of the first images, one feature in a step."""
        # Names that Quantus uses and numpy has dropped.
        numpy.trapz, numpy.NaN = numpy.trapezoid, numpy.nan
        import quantus

        x, y, maps = (self.subject[name][: self.steps].numpy() for name in ["x", "y", "map"])
        metric = quantus.NonSensitivity(features_in_step=1, disable_warnings=True)
        scores = metric(model=self.net, x_batch=x, y_batch=y, a_batch=maps, softmax=True, device="cpu")
        return torch.tensor([float(score) for score in scores], dtype=torch.float64)

    def rise(self):
        """The authors' loop: masked images in batches, and their probabilities' weighted sum of masks."""
        masks = self.masks if self.steps == FEW else rise_masks(self.steps).to(self.x.dtype)
        scores = [self.net(self.x[:1] * part[:, None]).softmax(1)[:, 0] for part in masks.split(AT_ONCE)]
        return (torch.cat(scores) @ masks.flatten(1)).reshape(1, 1, 224, 224) / (len(masks) * 0.5)

    def kernel_shap(self):
        from captum.attr import KernelShap

        if self.steps == FEW:
            return self.shapley_of_four()
        settings = {"n_samples": self.steps, "perturbations_per_eval": AT_ONCE}
        return KernelShap(self.net).attribute(self.x[:1], target=0, feature_mask=grid_labels(CELLS), **settings)[:, :1]

    def shapley_of_four(self):
        """What KernelSHAP tends to, by definition: Captum's own exact values are rounded to single precision."""
        labels = grid_labels(2)
        present = torch.tensor(list(itertools.product([0, 1], repeat=4)), dtype=self.x.dtype)
        scores = self.net(self.x[:1] * present[:, labels[0]])[:, 0]
        score = lambda players: scores[sum(8 >> player for player in players)]
        values = torch.zeros(4, dtype=self.x.dtype)
        for order in itertools.permutations(range(4)):
            for at, player in enumerate(order):
                values[player] += (score(order[: at + 1]) - score(order[:at])) / 24
        return values[labels]

    def lime(self):
        from captum._utils.models.linear_model import SkLearnRidge
        from captum.attr import Lime

        def weight(original, perturbed, present, **_):
            distance = 1 - (present.mean(dtype=self.x.dtype)).sqrt()
            return torch.exp(-((distance / 0.25) ** 2) / 2)

        def given(original, **_):
            for sample in self.samples.long():
                yield sample[None]

        settings = {"perturb_func": given} if self.steps == FEW else {}
        explainer = Lime(self.net, interpretable_model=SkLearnRidge(alpha=1.0), similarity_func=weight, **settings)
        labels = grid_labels(CELLS)
        # Spread over the input's shape, the coefficients are rounded to single precision.
        settings = {"n_samples": self.steps, "perturbations_per_eval": AT_ONCE, "return_input_shape": False}
        return explainer.attribute(self.x[:1], target=0, feature_mask=labels, **settings)[0][labels]

    def cam(self):
        """What the package computes of one image before it scales and resizes the map."""
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        kind = {"score-cam": pytorch_grad_cam.ScoreCAM, "ablation-cam": pytorch_grad_cam.AblationCAM}[self.work]
        x, layer, targets = self.x[:1], self.net.maxpool, [ClassifierOutputTarget(0)]
        explainer = kind(self.net, [layer])
        with torch.no_grad():
            explainer.activations_and_grads(x)
            maps = explainer.activations_and_grads.activations[0].numpy()
            weights = explainer.get_cam_weights(x, layer, targets, maps, None)
        explainer.activations_and_grads.release()
        return torch.from_numpy((weights[:, :, None, None] * maps).sum(1, keepdims=True))


def work(row, folder, dtype, steps, threads):
    torch.set_num_threads(threads)
    if dtype == "float64":
        # Captum keeps its steps' weights in single precision, which alone puts a map of double precision 1e-8 off.
        torch.set_default_dtype(torch.float64)
        torch.Tensor.float = torch.Tensor.double
        torch.FloatTensor = torch.DoubleTensor
        # pytorch-grad-cam rounds the scores of Ablation-CAM to single precision.
        numpy.float32 = numpy.float64
    run = Row(row, folder, getattr(torch, dtype), steps)
    for line in sys.stdin:
        command, *arguments = line.split()
        start = time.perf_counter()
        result = run().detach()
        seconds = time.perf_counter() - start
        if command == "map":
            save_file({"map": result.contiguous()}, arguments[0])
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "rss_mib": rss}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        trained = None if sys.argv[3] == "none" else Path(sys.argv[3])
        prepare(Path(sys.argv[2]), trained, sys.argv[4:])
    else:
        row, folder, dtype, steps, threads = sys.argv[2:]
        work(row, Path(folder), dtype, int(steps), int(threads))
