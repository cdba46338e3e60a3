"""PyTorch alone: passes of the model, and what has no package but fits in a few lines."""

import torch


def forward(setup, _):
    with torch.no_grad():
        return setup.net(setup.x)


def gradient(setup, _):
    x = setup.x.clone().requires_grad_()
    return torch.autograd.grad(setup.net(x).gather(1, setup.y[:, None]).sum(), x)[0]


def rise_masks(count, cells, side):
    """The masks of the authors' code: a grid of cells brought to more than the image, and shifted."""
    per_cell = -(-side // cells)
    grid = (torch.rand(count, 1, cells, cells) < 0.5).float()
    large = (cells + 1) * per_cell
    large = torch.nn.functional.interpolate(grid, (large, large), mode="bilinear", align_corners=False)[:, 0]
    shifts = torch.randint(0, per_cell, (count, 2)).tolist()
    return torch.stack([mask[y : y + side, x : x + side] for mask, (y, x) in zip(large, shifts)])


def rise(setup, settings):
    """The authors' loop: masked images in batches, and their probabilities' weighted sum of masks."""
    if settings.get("given"):
        masks = setup.input("rise_masks")
    else:
        masks = rise_masks(settings["samples"], settings["cells"], setup.x.shape[-1]).to(setup.x)
    with torch.no_grad():
        parts = masks.split(settings["at_once"])
        scores = [setup.net(setup.x * part[:, None]).softmax(1)[:, setup.y[0]] for part in parts]
    return (torch.cat(scores) @ masks.flatten(1)).reshape(1, 1, *masks.shape[1:]) / (len(masks) * 0.5)


WORKS = {
    "forward": forward,
    "forward-exact": forward,
    "gradient": gradient,
    "gradient-exact": gradient,
    "gradient-imports-only": gradient,
    "rise": rise,
}
