"""The networks that adapters are compared on are looked at where their gradients exist."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lca_conformance.suites.agreement import EXAMPLES, NETWORKS, training_of
from lca_conformance.trained import few_digits
from lca_torch.networks import Pool, build
from lca_torch.training import Groups

ROUNDING = 4e-6
"""Some thirty float32 epsilons of activations of size 1."""

EXACT = 1e-12
"""Ties of equal patches, and zeros: the same gradient on either side."""


class Margins:
    """The smallest distance from a kink that any activation of a model has had."""

    def __init__(self, model):
        self.smallest = float("inf")
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(lambda _, x, __: self.see(x[0].detach().abs()))
            if isinstance(module, Pool):
                module.register_forward_hook(lambda pool, x, _: self.see(gaps(pool, x[0])))

    def see(self, distances):
        """Take note of distances."""
        self.smallest = min(self.smallest, float(distances[distances > EXACT].min()))


def gaps(pool, x):
    """Return how far the largest of every square is above the second."""
    size = pool.kernel_size
    squares = x.detach().unfold(1, size, size).unfold(2, size, size).flatten(-2)
    largest = squares.topk(2, -1).values
    return largest[..., 0] - largest[..., 1]


def look(model, inputs, mode):
    """Run a model as the oracle does, its averages and flags left alone."""
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train(mode != "eval")
    with torch.no_grad():
        model(inputs)
    for name, buffer in model.named_buffers():
        buffer.copy_(kept[name])
    model.train()


@pytest.mark.parametrize(("spec", "mode", "seed"), NETWORKS.values(), ids=NETWORKS)
def test_no_activation_comes_near_a_kink(spec, mode, seed):
    """At every point that Simpson's rule visits, in float64, rounding could turn no unit over."""
    training, digits = training_of(spec, seed), few_digits(EXAMPLES)
    model = build(spec, training.initial()).double()
    margins, groups = Margins(model), Groups(training, model)
    x, val = (torch.from_numpy(s.inputs).double() for s in (digits.train, digits.val))
    labels = torch.from_numpy(digits.train.labels)
    for step, rows in enumerate(training.batches(EXAMPLES)):
        start = [p.detach().clone() for p in model.parameters()]
        model.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), labels[rows]).backward()
        groups.step(step, 1.0)
        end = [p.detach().clone() for p in model.parameters()]
        for s in (0.0, 0.5, 1.0):
            with torch.no_grad():
                for p, a, b in zip(model.parameters(), start, end, strict=True):
                    p.copy_(a + s * (b - a))
            for inputs in (x, val):
                look(model, inputs, mode)

    assert margins.smallest > ROUNDING
