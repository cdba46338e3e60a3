"""zennit, its batch norms merged whole and its sums in proportion in models that are not torchvision's."""

import functools

import torch
from zennit.attribution import Gradient
from zennit.canonizers import AttributeCanonizer, SequentialMergeBatchNorm
from zennit.composites import EpsilonPlus, SpecialFirstLayerMapComposite, layer_map_base
from zennit.layer import Sum
from zennit.rules import WSquare, ZPlus
from zennit.types import Linear

from models import BasicLayer


class MergedWhole(SequentialMergeBatchNorm):
    @staticmethod
    def merge_batch_norm(modules, batch_norm):
        SequentialMergeBatchNorm.merge_batch_norm(modules, batch_norm)
        batch_norm.eps = 0.0


def summed(self, x):
    return self.activation(self.canonizer_sum(torch.stack([self.shortcut(x), self.layer(x)], dim=-1)))


def in_proportion(_, module):
    if isinstance(module, BasicLayer):
        return {"forward": summed.__get__(module), "canonizer_sum": Sum()}


def canonizers():
    return [MergedWhole(), AttributeCanonizer(in_proportion)]


def epsilon_plus():
    return EpsilonPlus(canonizers=canonizers())


def deep_taylor():
    rules = {"layer_map": layer_map_base() + [(Linear, ZPlus())], "first_map": [(Linear, WSquare())]}
    return SpecialFirstLayerMapComposite(**rules, canonizers=canonizers())


@functools.cache
def registered(composite, net):
    """Registered once, as somebody does who explains more than one batch."""
    attributor = Gradient(model=net, composite=composite())
    attributor.__enter__()
    return attributor


def relevance(composite):
    def run(setup, _):
        score = lambda output: output.detach() * torch.nn.functional.one_hot(setup.y, output.shape[1])
        x = setup.x.clone().requires_grad_()
        return registered(composite, setup.net)(x, score)[1]

    return run


WORKS = {"lrp": relevance(epsilon_plus), "deep-taylor": relevance(deep_taylor)}
