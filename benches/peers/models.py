"""The models of the table in PyTorch: the bundled ones, LeNet, the CIFAR ResNet-20, and those of torchvision and timm."""

import json
from collections import OrderedDict

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional


class ConvLayer(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, activation):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.normalization = nn.BatchNorm2d(outputs)
        self.activation = activation

    def forward(self, x):
        return self.activation(self.normalization(self.convolution(x)))


class BasicLayer(nn.Module):
    """Rules of relevance need a module where both branches meet."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvLayer(inputs, outputs, 1, stride, nn.Identity())
        self.layer = nn.Sequential(
            ConvLayer(inputs, outputs, 3, stride, nn.ReLU()), ConvLayer(outputs, outputs, 3, 1, nn.Identity())
        )
        self.activation = nn.ReLU()

    def forward(self, x):
        return self.activation(self.layer(x) + self.shortcut(x))


def tree(**modules):
    holder = nn.Module()
    for name, module in modules.items():
        setattr(holder, name, module)
    return holder


class BundledResNet(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, sizes, stages = config["embedding_size"], config["hidden_sizes"], []
        for index, (size, depth) in enumerate(zip(sizes, config["depths"])):
            stride = 2 if index or config["downsample_in_first_stage"] else 1
            before = sizes[index - 1] if index else width
            blocks = [BasicLayer(before, size, stride)] + [BasicLayer(size, size, 1) for _ in range(depth - 1)]
            stages.append(tree(layers=nn.Sequential(*blocks)))
            stages[-1].forward = stages[-1].layers.forward
        embedder = tree(embedder=ConvLayer(3, width, 7, 2, nn.ReLU()), pooler=nn.MaxPool2d(3, 2, 1))
        self.resnet = tree(embedder=embedder, encoder=tree(stages=nn.ModuleList(stages)), pooler=nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(sizes[-1], len(config["id2label"])))

    def forward(self, x):
        x = self.resnet.embedder.pooler(self.resnet.embedder.embedder(x))
        for stage in self.resnet.encoder.stages:
            x = stage(x)
        return self.classifier(self.resnet.pooler(x))


class Encoder(nn.Module):
    def __init__(self, size, heads, inner, eps):
        super().__init__()
        self.heads = heads
        parts = {name: nn.Linear(size, size) for name in ["query", "key", "value"]}
        self.attention = tree(attention=tree(**parts), output=tree(dense=nn.Linear(size, size)))
        self.intermediate = tree(dense=nn.Linear(size, inner), intermediate_act_fn=nn.GELU())
        self.output = tree(dense=nn.Linear(inner, size))
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(size, eps), nn.LayerNorm(size, eps)

    def mixed(self, x):
        split = lambda part: part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        parts = self.attention.attention
        q, k, v = split(parts.query), split(parts.key), split(parts.value)
        out = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.attention.output.dense(out)

    def forward(self, x):
        x = x + self.mixed(self.layernorm_before(x))
        hidden = self.intermediate.dense(self.layernorm_after(x))
        return x + self.output.dense(self.intermediate.intermediate_act_fn(hidden))


class BundledViT(nn.Module):
    def __init__(self, config):
        super().__init__()
        size, eps, patch = config["hidden_size"], config["layer_norm_eps"], config["patch_size"]
        count = (config["image_size"] // patch) ** 2 + 1
        embeddings = tree(patch_embeddings=tree(projection=nn.Conv2d(3, size, patch, patch)))
        embeddings.cls_token = nn.Parameter(torch.zeros(1, 1, size))
        embeddings.position_embeddings = nn.Parameter(torch.zeros(1, count, size))
        shape = (size, config["num_attention_heads"], config["intermediate_size"], eps)
        layers = nn.ModuleList(Encoder(*shape) for _ in range(config["num_hidden_layers"]))
        self.vit = tree(embeddings=embeddings, encoder=tree(layer=layers), layernorm=nn.LayerNorm(size, eps))
        self.classifier = nn.Linear(size, len(config["id2label"]))

    def forward(self, x):
        embeddings = self.vit.embeddings
        patches = embeddings.patch_embeddings.projection(x).flatten(2).transpose(1, 2)
        token = embeddings.cls_token.expand(len(x), -1, -1)
        x = torch.cat([token, patches], 1) + embeddings.position_embeddings
        for layer in self.vit.encoder.layer:
            x = layer(x)
        return self.classifier(self.vit.layernorm(x)[:, 0])


def lenet(_):
    layers = OrderedDict(conv_1=nn.Conv2d(1, 6, 5), relu_1=nn.ReLU(), pool_1=nn.MaxPool2d(2, 2))
    layers |= OrderedDict(conv_2=nn.Conv2d(6, 16, 5), relu_2=nn.ReLU(), pool_2=nn.MaxPool2d(2, 2), flatten=nn.Flatten())
    layers |= OrderedDict(fc_1=nn.Linear(256, 120), relu_3=nn.ReLU(), fc_2=nn.Linear(120, 84), relu_4=nn.ReLU())
    return nn.Sequential(layers | OrderedDict(fc_3=nn.Linear(84, 10)))


class CifarBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.missing = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.missing // 2, self.missing // 2))
        return functional.relu(y + x)


class CifarResNet(nn.Module):
    def __init__(self, _):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda inputs, outputs, stride: nn.Sequential(
            CifarBlock(inputs, outputs, stride), CifarBlock(outputs, outputs, 1), CifarBlock(outputs, outputs, 1)
        )
        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def published(config):
    architecture = config["architecture"]
    if architecture.startswith("vit"):
        import timm

        return timm.create_model(architecture, pretrained=False)
    import torchvision

    return getattr(torchvision.models, architecture)(weights=None)


KINDS = {"resnet": BundledResNet, "vit": BundledViT, "lenet": lenet, "cifar_resnet": CifarResNet}


def open(folder, dtype):
    config = json.loads((folder / "config.json").read_text())
    net = KINDS.get(config.get("model_type") or config.get("kind"), published)(config)
    net.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    return net.eval().to(dtype)
