"""A run that was cut off goes on to the numbers of the uninterrupted one, bit for bit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lca_core
import lca_jax
from lca_core.errors import ResumeError


@pytest.fixture
def points(iterates):
    """The iterates as a training would pass by them, to and fro."""
    return [jax.tree.map(jnp.asarray, iterates[i]) for i in (0, 1, 2, 3, 4, 3, 2, 1)]


@pytest.mark.parametrize("cut", [1, 5])
def test_a_cut_run_goes_on_to_the_same_numbers(perceptron, points, blobs, tmp_path, cut):
    """Whatever was recorded after the checkpoint is forgotten and recorded again."""
    with lca_jax.track(perceptron, points[0], blobs) as whole:
        for params in points[1:]:
            whole.step(params)
    path = tmp_path / "run.zarr"
    tracker = lca_jax.track(perceptron, points[0], blobs, path=path, chunk=3)
    for params in points[1 : cut + 1]:
        tracker.step(params)
    tracker.checkpoint()
    tracker.step(points[cut + 1])
    del tracker

    resumed = lca_jax.track(perceptron, points[cut], blobs, path=path, resume=True, chunk=3)
    assert resumed.iteration == cut
    for params in points[cut + 1 :]:
        resumed.step(params)
    resumed.finish()
    run = lca_core.load(path)

    for name, values in whole.run.rows.items():
        np.testing.assert_array_equal(run.rows[name], values, err_msg=name)
    for leaf, values in whole.run.total("train").items():
        np.testing.assert_array_equal(run.total("train")[leaf], values)


def test_another_place_and_other_data_are_refused(perceptron, points, blobs, tmp_path):
    """Parameters at no checkpoint, or data with another fingerprint, are told apart."""
    path = tmp_path / "run.zarr"
    lca_jax.track(perceptron, points[0], blobs, path=path).finish()
    with pytest.raises(ResumeError, match="none of the checkpoints"):
        lca_jax.track(perceptron, points[1], blobs, path=path, resume=True)
    with pytest.raises(ResumeError, match="data"):
        lca_jax.track(perceptron, points[0], (blobs[0] + 1, blobs[1]), path=path, resume=True)


def test_segments_of_several_steps(perceptron, points, blobs):
    """With every=2 the books close once for two steps, the open rest at the end."""
    tracker = lca_jax.track(perceptron, points[0], blobs, every=2)
    for params in points[1:4]:
        tracker.step(params)
    run = tracker.finish()

    assert run.rows["iteration"].tolist() == [2, 3]
    change = float(perceptron(points[3], blobs).mean() - perceptron(points[0], blobs).mean())
    assert run.loss("train")[-1] - run.loss("train")[0] == pytest.approx(change, rel=1e-4)
