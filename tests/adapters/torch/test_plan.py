"""A plan in a PyTorch loop: it disturbs nothing, and knows what cannot be sampled."""

import copy

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lca_torch

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(300, 5, generator=GENERATOR)
Y = X[:, :3].argmax(dim=1)
LOSS = nn.CrossEntropyLoss()


def trained(data, *, plans):
    """Return the run of six steps with dropout and batch norm, its end, and the last plan."""
    torch.manual_seed(0)
    layers = nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)
    model = nn.Sequential(*layers)
    optimizer, plan = torch.optim.SGD(model.parameters(), 0.3, momentum=0.9), None
    with lca_torch.track(model, LOSS, data) as tracker:
        for t in range(6):
            optimizer.zero_grad()
            LOSS(model(X[t * 20 : t * 20 + 20]), Y[t * 20 : t * 20 + 20]).backward()
            if plans and t in (0, 4):
                plan = tracker.plan("2x", training_seconds=0.001)
            optimizer.step()
            tracker.step()
    state = copy.deepcopy(model.state_dict()), optimizer.state_dict(), torch.get_rng_state()
    return tracker.run, state, plan


def test_training_and_record_are_bit_for_bit_the_same():
    """Plans are made amid the steps: parameters, buffers, momentum, streams, rows stay the same."""
    data = {"train": (X, Y), "val": (X[:200], Y[:200])}
    run, (state, moments, stream), plan = trained(data, plans=True)
    other, (states, momenta, streams), _ = trained(data, plans=False)
    assert {row.kind for row in plan.rows} == {"all", "probe", "redrawn"}
    assert torch.equal(stream, streams)
    assert all(torch.equal(state[key], states[key]) for key in state)
    for key, one in moments["state"].items():
        assert torch.equal(one["momentum_buffer"], momenta["state"][key]["momentum_buffer"])
    for name, rows in other.rows.items():
        np.testing.assert_array_equal(run.rows[name], rows, err_msg=name)


def test_what_is_not_picked_one_by_one_is_not_sampled():
    """Of a DataLoader's batches no samples are drawn: all examples alone, and the plan says why."""
    loader = DataLoader(TensorDataset(X, Y), batch_size=50)
    _, _, plan = trained(loader, plans=True)
    assert {row.kind for row in plan.rows} == {"all"}
    assert "examples drawn once and fresh examples: A partition or a probe picks" in str(plan)
    assert "For a DataLoader, pass its `dataset`." in str(plan)
