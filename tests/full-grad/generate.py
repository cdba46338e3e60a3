#!/usr/bin/env python3
"""Writes the reference data of FullGrad: what pytorch-grad-cam's gives on two models of tests/golden.

    python3 tests/full-grad/generate.py

Needs torch, timm, safetensors and grad-cam (benches/peers/requirements.txt). Writes manifest.json and
expected.safetensors beside this script.
"""
import json
from pathlib import Path

import numpy as np
import timm
import torch
from pytorch_grad_cam import FullGrad
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
MODELS = ["timm_plain_resnet", "convnet_relu"]
# Single precision may be off by so many times what the peer itself is off by in single precision.
SINGLE = 20
# cv2 resizes in single precision.
DOUBLE = 5e-5


def resnet(config, _):
    return timm.models.resnet.ResNet(
        timm.models.resnet.BasicBlock,
        config["layers"],
        channels=config["channels"],
        num_classes=10,
    )


def convnet(config, weights):
    layers = torch.nn.Sequential()
    for layer in config["layers"]:
        arguments = {key: value for key, value in layer.items() if key not in ("name", "type")}
        if layer["type"] == "BatchNorm2d":
            arguments["num_features"] = len(weights[f"{layer['name']}.bias"])
        if layer["type"] == "Conv2d":
            arguments["bias"] = f"{layer['name']}.bias" in weights
        if layer["type"] == "Linear":
            layers.add_module("flat", torch.nn.Flatten())
        layers.add_module(layer["name"], getattr(torch.nn, layer["type"])(**arguments))
    return layers


def explain(net, x, classes):
    targets = [ClassifierOutputTarget(c) for c in classes]
    return torch.from_numpy(np.array(FullGrad(net, [])(x.clone(), targets)))


def main():
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    expected, cases = {}, []
    for model in MODELS:
        about = manifest["models"][model]
        config = about["arch_config"]
        weights = load_file(GOLDEN / about["weights"])
        net = (resnet if "timm" in config else convnet)(config, weights)
        net.load_state_dict(weights)
        net.eval().double()
        case = next(c for c in manifest["cases"] if c["model"] == model and c["method"] == "GradCAM")
        source = case["input"]
        x = load_file(GOLDEN / source["file"])[source["x"]][source["samples"]].double()
        forward = next(c for c in manifest["cases"] if c["id"] == f"{model}/logits")
        logits = forward["expected"]["logits"]
        stored = load_file(GOLDEN / logits["file"])[logits["tensor"]][source["samples"]].double()
        assert (net(x) - stored).abs().max() < 1e-5 * stored.abs().max(), f"{model}: the weights are another model's"
        double = explain(net, x, case["target"])
        single = explain(net.float(), x.float(), case["target"])
        noise = float((single - double).abs().max() / double.abs().max())
        expected[model] = double.float().contiguous()
        logits["file"], forward["input"]["file"] = f"../golden/{logits['file']}", f"../golden/{source['file']}"
        cases.append(forward)
        cases.append(dict(
            id=f"{model}/pgc_fullgrad", model=model, method="FullGrad", params={}, target=case["target"], tags=[],
            input=dict(source, file=f"../golden/{source['file']}", extra=[]),
            expected={"final": {"file": "expected.safetensors", "tensor": model}},
            tolerance=dict(metric="max|a-e| <= tol * max|e| per tensor", f64=DOUBLE, f32=max(DOUBLE, SINGLE * noise)),
        ))
    save_file(expected, HERE / "expected.safetensors")
    models = {model: {"config": f"../golden/{manifest['models'][model]['config']}"} for model in MODELS}
    (HERE / "manifest.json").write_text(json.dumps(dict(models=models, cases=cases), indent=1) + "\n")


if __name__ == "__main__":
    main()
