#!/usr/bin/env python3
"""Cuts the committed subset of reference data out of the full folder.

    python3 tests/golden/subset.py ../shared/golden

Takes the cases of METHODS on MODELS, their tensors and nothing else, and writes manifest.json, models/, inputs/ and
expected/ beside this script. All of it is made from random models of our own. Needs only the standard library.
"""
import json
import os
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 6 << 20

# What tests/golden/methods.rs covers.
METHODS = {
    "forward", "saliency", "input_x_gradient", "integrated_gradients", "expected_gradients",
    "smoothgrad/smoothgrad_sq/vargrad", "layer_activation", "layer_gradient_x_activation", "grad_cam", "GradCAM",
    "attention", "attention_gradient", "raw_attention", "attention_rollout",
}
MODELS = [
    "mlp_relu", "mlp_tanh", "convnet", "convnet_relu", "hf_vit", "timm_vit", "hf_resnet_basic", "timm_plain_resnet",
]
# The images of this model are the largest: one case of each kind is enough.
LEFT_OUT = {
    "hf_resnet_basic/smoothgrad", "hf_resnet_basic/saliency_abs", "hf_resnet_basic/ig_gl20_base",
    "hf_resnet_basic/ig_trap50_zero_captum",
}


def read(path):
    """The tensors of a safetensors file: name -> (description, bytes)."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: (about, data[slice(*about["data_offsets"])]) for name, about in header.items()}


def write(path, tensors):
    """Writes tensors as read() gives them, in the order of their names."""
    header, parts, offset = {}, [], 0
    for name in sorted(tensors):
        about, data = tensors[name]
        header[name] = dict(dtype=about["dtype"], shape=about["shape"], data_offsets=[offset, offset + len(data)])
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def is_kept(case):
    return case["model"] in MODELS and case["method"] in METHODS and case["id"] not in LEFT_OUT


def tensors_of(cases):
    """file -> names of the tensors that the cases need."""
    needed = {}
    for case in cases:
        needed.setdefault(case["input"]["file"], set()).update([case["input"]["x"], *case["input"]["extra"]])
        for output in case["expected"].values():
            needed.setdefault(output["file"], set()).add(output["tensor"])
    return needed


def main(source):
    for folder in ("models", "inputs", "expected"):
        shutil.rmtree(os.path.join(HERE, folder), ignore_errors=True)
    with open(os.path.join(source, "manifest.json")) as file:
        manifest = json.load(file)
    cases = [case for case in manifest["cases"] if is_kept(case)]
    for name, needed in tensors_of(cases).items():
        tensors = read(os.path.join(source, name))
        write(os.path.join(HERE, name), {tensor: tensors[tensor] for tensor in needed})
    models = {model: manifest["models"][model] for model in MODELS}
    for files in models.values():
        for name in (files["weights"], files["config"]):
            target = os.path.join(HERE, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(os.path.join(source, name), target)
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    about = {key: manifest[key] for key in ("format", "split", "seed", "generator", "versions")}
    with open(os.path.join(HERE, "manifest.json"), "w") as file:
        file.write(json.dumps(dict(about, models=models))[:-1] + ', "cases": [\n' + lines + "\n]}\n")
    files = [os.path.join(at, name) for at, _, names in os.walk(HERE) for name in names]
    size = sum(os.path.getsize(path) for path in files)
    print(f"{len(cases)} cases on {len(models)} models in {len(files)} files, {size} bytes of {LIMIT} allowed")
    sys.exit(size > LIMIT)


if __name__ == "__main__":
    main(*sys.argv[1:])
