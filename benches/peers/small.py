"""LeNet as in Quantus' tutorials and the CIFAR ResNet-20, under the names of their published weights."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional


def lenet():
    return nn.Sequential(
        OrderedDict(
            conv_1=nn.Conv2d(1, 6, 5),
            relu_1=nn.ReLU(),
            pool_1=nn.MaxPool2d(2, 2),
            conv_2=nn.Conv2d(6, 16, 5),
            relu_2=nn.ReLU(),
            pool_2=nn.MaxPool2d(2, 2),
            flatten=nn.Flatten(),
            fc_1=nn.Linear(256, 120),
            relu_3=nn.ReLU(),
            fc_2=nn.Linear(120, 84),
            relu_4=nn.ReLU(),
            fc_3=nn.Linear(84, 10),
        )
    )


class Block(nn.Module):
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


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda inputs, outputs, stride: nn.Sequential(
            Block(inputs, outputs, stride), Block(outputs, outputs, 1), Block(outputs, outputs, 1)
        )
        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


BUILD = {"lenet": lenet, "resnet20": ResNet20}
CONFIG = {
    "lenet": {"kind": "lenet", "num_classes": 10},
    "resnet20": {"kind": "cifar_resnet", "blocks_per_stage": 3, "channels": [16, 32, 64], "num_classes": 10},
}
SHAPE = {"lenet": (16, 1, 28, 28), "resnet20": (4, 3, 32, 32)}
TRAINED = {"lenet": "lenet_mnist", "resnet20": "resnet20_cifar"}


def images(model):
    """Noise; that of LeNet is black in most places, as digits are."""
    x = torch.randn(SHAPE[model])
    return (x - 0.9).clamp(0, 1) if model == "lenet" else x


def subject(net, x):
    """Images, their classes and their saliency, as every side is given them."""
    net = net.eval().double()
    x = x.clone().requires_grad_()
    logits = net(x.double())
    classes = logits.argmax(1)
    map = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), x)[0].abs()
    return {"x": x.detach(), "y": classes, "map": map}
