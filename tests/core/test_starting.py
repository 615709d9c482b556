"""What a run begins with that cannot be booked is said before the training, not after it."""

import numpy as np
import pytest

from lca_core.reference import Polynomial, track

PROBLEM = Polynomial({"x": np.ones(2)}, 2)


def begun(value, **options):
    """Return a tracker of a model that stands at a value."""
    return track({"train": PROBLEM}, {"x": np.array([1.0, value])}, PROBLEM.layout, **options)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_leaves_that_are_not_finite_are_named(value):
    """A mask of infinities among the leaves loses every step, however well the training goes."""
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match=r"leaves \['x'\] hold values that are not finite"),
    ):
        begun(value)


def test_measures_without_a_loss_are_named():
    """As where all examples weigh nothing: the leaves are finite, the loss is no number."""
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match="of 'train' is inf where the model stands, and no step"),
    ):
        begun(1e200)


def test_a_run_that_goes_on_has_said_so(tmp_path):
    """It may have been resumed because of that."""
    path = tmp_path / "run"
    with begun(2.0, path=path) as tracker, np.errstate(all="ignore"):
        tracker.step({"x": np.array([1.0, np.nan])})
    with np.errstate(all="ignore"):
        assert begun(np.nan, path=path, resume=True).iteration == 1
