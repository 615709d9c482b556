"""The step that is written by hand does what a tracked step does, so that they can be compared."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import lca_torch
from benchmarks.by_hand import ByHand
from benchmarks.on_torch import data, network
from benchmarks.work import Work
from lca_core import Adaptive


def test_by_hand_and_tracked_steps_are_the_same():
    """Five steps of the article's network: loss, gap, leaves, units, counts and totals agree."""
    work = Work("fc", 60)
    (x, y), model = data(work), network(work).eval()
    integrator = Adaptive(atol=1e9, audit=None)
    options = {"integrator": integrator, "batch_size": 25}
    tracker = lca_torch.track(model, nn.CrossEntropyLoss(), (x, y), **options)
    by_hand = ByHand(model, x, y, 25)
    torch.manual_seed(1)
    noted = []
    for _ in range(5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1e-2 * torch.randn_like(parameter))
        tracker.step()
        noted.append(by_hand.step())
    run = tracker.finish()

    found = {
        "leaves": run.allocation("train", by="leaf").values,
        "loss": run.loss("train")[1:],
        "gap": run.gap("train"),
    }
    for name, values in found.items():
        truth = np.array([getattr(one, name) for one in noted])
        np.testing.assert_allclose(values, truth, rtol=1e-6, atol=1e-9, err_msg=name)
    # A neuron's own: its row of the weights, and its bias.
    edges = np.cumsum([len(p) for p in model.parameters()])[:-1]
    rows = np.split(np.array([one.units for one in noted]), edges, axis=1)
    neurons = np.hstack([weight + bias for weight, bias in zip(rows[::2], rows[1::2], strict=True)])
    units = run.allocation("train", by="unit").values
    np.testing.assert_allclose(units, neurons, rtol=1e-6, atol=1e-9)
    total = np.concatenate([leaf.ravel() for leaf in run.total("train").values()])
    np.testing.assert_allclose(total, by_hand.total, rtol=1e-6, atol=1e-12)
    counts = run.helping("train", by="leaf")
    np.testing.assert_array_equal(counts.helped, [one.helped for one in noted])
    np.testing.assert_array_equal(counts.hurt, [one.hurt for one in noted])
