"""A run that was cut off goes on to the numbers of the uninterrupted one, bit for bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import lca_core
import lca_torch
from lca_core.errors import ResumeError

LOSS = nn.CrossEntropyLoss()
STEPS = 23


class Training:
    """A training with dropout, batch norm and AdamW that can save and restore all its state."""

    def __init__(self, model: nn.Module) -> None:
        torch.manual_seed(11)
        self.model = model.train()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

    def step(self, data: tuple[torch.Tensor, torch.Tensor]) -> None:
        rows = torch.randint(len(data[1]), (32,))
        self.optimizer.zero_grad()
        LOSS(self.model(data[0][rows]), data[1][rows]).backward()
        self.optimizer.step()

    def save(self) -> tuple:
        parts = self.model.state_dict(), self.optimizer.state_dict(), torch.get_rng_state()
        return copy.deepcopy(parts)

    def restore(self, saved: tuple) -> None:
        model, optimizer, rng = copy.deepcopy(saved)
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(rng)


def uninterrupted(model, data):
    """Return the run of the whole training, in memory."""
    training = Training(model)
    with lca_torch.track(model, LOSS, {"train": data, "val": data}) as tracker:
        for _ in range(STEPS):
            training.step(data)
            tracker.step()
    return tracker.run


@pytest.mark.parametrize(
    ("save_every", "cut"),
    [
        (1, 6),
        (1, 22),
        (5, 1),
        (5, 12),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(1, 1), (1, 12), (5, 6), (5, 22)]
        ),
    ],
)
def test_a_cut_run_goes_on_to_the_same_numbers(noisy, blobs, tmp_path, cut, save_every):
    """Whatever was recorded after the restored point is forgotten and recorded again."""
    truth = uninterrupted(copy.deepcopy(noisy), blobs)
    path, data = tmp_path / "run.zarr", {"train": blobs, "val": blobs}
    training = Training(noisy)
    tracker = lca_torch.track(noisy, LOSS, data, path=path, chunk=4, resume=True)
    tracker.checkpoint()
    saved = training.save()
    for i in range(1, cut + 1):
        training.step(blobs)
        tracker.step()
        if i % save_every == 0:
            tracker.checkpoint()
            saved = training.save()
    del tracker

    training.restore(saved)
    resumed = lca_torch.track(noisy, LOSS, data, path=path, chunk=4, resume=True)
    assert resumed.iteration == cut // save_every * save_every
    while resumed.iteration < STEPS:
        training.step(blobs)
        resumed.step()
    run = resumed.finish()

    for found in (run, lca_core.load(path)):
        for name, values in truth.rows.items():
            np.testing.assert_array_equal(found.rows[name], values, err_msg=name)
        for measure in truth.measures:
            for leaf, values in truth.total(measure).items():
                np.testing.assert_array_equal(found.total(measure)[leaf], values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mode": "batch-stats"}, "mode = eval, now it is batch-stats"),
        ({"integrator": lca_core.Adaptive(rtol=0.1)}, "integrator"),
        ({"every": 2}, "every = 1"),
        ({"observers": []}, "observers"),
    ],
)
def test_other_settings_are_refused(noisy, blobs, tmp_path, change, words):
    """The error names the setting, what it was and what it is."""
    path = tmp_path / "run.zarr"
    lca_torch.track(noisy, LOSS, blobs, path=path).finish()
    with pytest.raises(ResumeError, match=words):
        lca_torch.track(noisy, LOSS, blobs, path=path, resume=True, **change)


def test_other_data_are_refused(noisy, blobs, tmp_path):
    """One changed value anywhere in the data is noticed by their fingerprint."""
    path = tmp_path / "run.zarr"
    lca_torch.track(noisy, LOSS, blobs, path=path).finish()
    inputs = blobs[0].clone()
    inputs[100, 11] += 1e-3
    with pytest.raises(ResumeError, match="data"):
        lca_torch.track(noisy, LOSS, (inputs, blobs[1]), path=path, resume=True)


def test_another_loss_is_refused(noisy, blobs, tmp_path):
    """The loss at the point of return must be the one on record."""
    path = tmp_path / "run.zarr"
    lca_torch.track(noisy, LOSS, blobs, path=path).finish()
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
    with pytest.raises(ResumeError, match="recorded a loss of"):
        lca_torch.track(noisy, smoothed, blobs, path=path, resume=True)


def test_a_model_elsewhere_is_refused_and_the_file_kept(noisy, blobs, tmp_path):
    """A model at none of the checkpoints is told where they are; nothing is lost."""
    path = tmp_path / "run.zarr"
    training = Training(noisy)
    tracker = lca_torch.track(noisy, LOSS, blobs, path=path)
    for _ in range(3):
        training.step(blobs)
        tracker.step()
    tracker.finish()
    training.step(blobs)
    with pytest.raises(ResumeError, match=r"none of the checkpoints.*\[3\]"):
        lca_torch.track(noisy, LOSS, blobs, path=path, resume=True)

    assert lca_core.load(path).steps == 3


def test_an_existing_run_is_never_overwritten(noisy, blobs, tmp_path):
    """Without resume=True, a path that is taken is an error."""
    path = tmp_path / "run.zarr"
    lca_torch.track(noisy, LOSS, blobs, path=path).finish()
    with pytest.raises(FileExistsError, match="resume=True"):
        lca_torch.track(noisy, LOSS, blobs, path=path)
