"""Writes data/processor_cases.json: what Pillow and the Hugging Face image processors make of small pictures.

    pip install "pillow<13" numpy "transformers<5"
    python make_processor_cases.py

The pictures are a formula (`scene`), written the same way in preprocess_equals_pillow.rs, so only results are
stored: the bytes of the smallest outputs, and a 64-bit FNV-1a of all of them.
"""

import json
import pathlib

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers import (
    BitImageProcessor,
    CLIPImageProcessor,
    ConvNextImageProcessor,
    DeiTImageProcessor,
    ViTImageProcessor,
)

KEEP_BYTES = 2000


def scene(width, height):
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.uint64)
    noise = ((x * 73856093) ^ (y * 19349663) ^ (c * 83492791)) & 0xFFFFFFFF
    level = x * (3 + c) + y * (5 - c) + 90 * ((x // 9 + y // 7) & 1) + ((noise >> 13) & 63)
    return Image.fromarray((level & 255).astype(np.uint8), "RGB")


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def record(pixels, values=None):
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    out = {"height": pixels.shape[0], "width": pixels.shape[1], "pixels_fnv": fnv(pixels.tobytes())}
    if pixels.nbytes <= KEEP_BYTES:
        out["pixels"] = pixels.tobytes().hex()
    if values is not None:
        out["values_fnv"] = fnv(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return out


def resizes():
    for name, filter in [("nearest", 0), ("lanczos", 1), ("bilinear", 2), ("bicubic", 3), ("box", 4), ("hamming", 5)]:
        for source, target in [((97, 61), (32, 20)), ((20, 13), (45, 31)), ((64, 64), (40, 64)), ((33, 50), (33, 17)),
                               ((1, 1), (5, 4)), ((3, 200), (7, 6)), ((640, 427), (224, 224))]:
            pixels = np.asarray(scene(*source).resize(target, filter))
            yield {"filter": filter, "name": name, "source": source, **record(pixels)}


PROCESSORS = {
    "ViTImageProcessor": ViTImageProcessor,
    "ConvNextImageProcessor": ConvNextImageProcessor,
    "DeiTImageProcessor": DeiTImageProcessor,
    "BitImageProcessor": BitImageProcessor,
    "CLIPImageProcessor": CLIPImageProcessor,
}

CONFIGS = [
    ("ViTImageProcessor", {}),
    ("ViTImageProcessor", {"size": 32}),
    ("ViTImageProcessor", {"size": {"height": 30, "width": 40}, "resample": 3}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "image_mean": [0.485, 0.456, 0.406],
                           "image_std": [0.229, 0.224, 0.225]}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "do_normalize": False}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "do_rescale": False, "do_normalize": False}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "rescale_factor": 0.0078125}),
    ("ViTImageProcessor", {"do_resize": False}),
    ("ConvNextImageProcessor", {}),
    ("ConvNextImageProcessor", {"size": 224, "crop_pct": 0.875, "resample": 3}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.875, "resample": 3}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 37}, "crop_pct": 0.9}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.95}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}, "crop_pct": 0.95}),
    ("DeiTImageProcessor", {"size": {"height": 36, "width": 36}, "crop_size": {"height": 31, "width": 32}}),
    ("DeiTImageProcessor", {"size": 36, "crop_size": 44}),
    ("BitImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 31}}),
    ("BitImageProcessor", {"size": 36, "crop_size": 47}),
    ("CLIPImageProcessor", {"size": 32, "crop_size": 32}),
]


def processors():
    for kind, config in CONFIGS:
        sources = [(97, 61), (50, 83)] if config.get("size") else [(97, 61)]
        for source in sources:
            image = scene(*source)
            processor = PROCESSORS[kind](**config)
            values = processor(image, return_tensors="np")["pixel_values"][0]
            raw = processor(image, return_tensors="np", do_rescale=False, do_normalize=False)["pixel_values"][0]
            saved = json.loads(processor.to_json_string())
            for full in (True, False):
                written = saved if full else {"image_processor_type": kind, **config}
                yield {"config": written, "source": source, **record(raw.transpose(1, 2, 0), values)}


def imagenet():
    """torchvision's evaluation transform, from its own definition: Resize(256), CenterCrop(224), ToTensor, Normalize."""
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    for source in [(300, 260), (259, 300), (97, 61), (261, 256)]:
        w, h = source
        size = (256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256)
        image = scene(*source).resize(size, Image.BILINEAR)
        top, left = round((size[1] - 224) / 2.0), round((size[0] - 224) / 2.0)
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)))
        values = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        yield {"source": source, **record(pixels, values.transpose(2, 0, 1))}


here = pathlib.Path(__file__).parent
cases = {
    "made_with": {"pillow": PIL.__version__, "transformers": transformers.__version__, "numpy": np.__version__},
    "resizes": list(resizes()),
    "processors": list(processors()),
    "imagenet": list(imagenet()),
}
text = json.dumps(cases, separators=(",", ":")).replace("},{", "},\n{")
(here / "data" / "processor_cases.json").write_text(text + "\n")
