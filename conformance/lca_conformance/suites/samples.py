"""Measures that see a sample of the data."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lca_conformance.cases import supported
from lca_conformance.suites.suite import Suite
from lca_conformance.trained import few_digits, quietly
from lca_core import Status
from lca_core.adapters import find_adapter
from lca_core.networks import fc
from lca_core.optimizers import SGD
from lca_core.sampling import Sampling
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from lca_core import Run
    from lca_core.adapters import Adapter

SPEC = TrainingSpec(
    network=fc((8, 8, 1), hidden=(16, 12)), optimizer=SGD(0.05), batch_size=30, epochs=2, seed=2
)
EXAMPLES = 120
KINDS = {
    "drawn once": Sampling(probe=20),
    "drawn once, by class": Sampling(probe=20, stratified=True),
    "redrawn": Sampling(redrawn=40),
    "redrawn, by class": Sampling(redrawn=40, stratified=True),
}
REDRAWN = {name: kind for name, kind in KINDS.items() if kind.redrawn}


@cache
def _run(adapter: Adapter, kind: Sampling | None) -> Run:
    tracking = {"sampling": kind} if kind else {}
    return adapter.train(SPEC, few_digits(EXAMPLES), on_step=quietly, tracking=tracking)


def sampled(adapter: Adapter, kind: Sampling | None) -> Run:
    """Return a training that is measured on samples, or on everything; or skip."""
    run: Run = supported(lambda: _run(adapter, kind))
    return run


def by_leaf(adapter: Adapter, run: Run, name: str) -> np.ndarray:
    """Return an array of "train", shape (steps, leaves, ...), in the order of the spec."""
    spelled = adapter.spelling(SPEC.network)
    places = [run.layout.names.index(spelled[leaf].name) for leaf in SPEC.network.layout.names]
    return np.asarray(run.rows[name][:, run.measures.index("train")][:, places])


def agreeing(adapter: Adapter, kind: Sampling, name: str) -> np.ndarray:
    """Return an array of "train" by leaf, after comparing it with the float64 reference's."""
    found, truth = (
        by_leaf(one, sampled(one, kind), name) for one in (adapter, find_adapter("numpy"))
    )
    np.testing.assert_allclose(found, truth, atol=1e-4 * np.abs(truth).max())
    return found


class Samples(Suite):
    """A sample is drawn alike everywhere, and a redrawn step is what is true of its examples."""

    @pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
    def test_the_same_examples_are_drawn(self, adapter: Adapter, kind: Sampling) -> None:
        """Losses over the sample are those that the float64 reference finds on its own draw."""
        run, truth = (sampled(one, kind) for one in (adapter, find_adapter("numpy")))

        assert run.probe("train") == truth.probe("train")
        for measure in ("train", "val"):
            np.testing.assert_allclose(run.loss(measure), truth.loss(measure), rtol=1e-4)
            assert (run.status(measure) == truth.status(measure)).all()

    @pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
    def test_leaves_agree(self, adapter: Adapter, kind: Sampling) -> None:
        """Every leaf's allocation at every step is the reference's."""
        agreeing(adapter, kind, "allocation")

    @pytest.mark.parametrize("kind", REDRAWN.values(), ids=REDRAWN)
    def test_subsamples_agree(self, adapter: Adapter, kind: Sampling) -> None:
        """So is that of every subsample, which the standard errors are made of."""
        found = agreeing(adapter, kind, "subsample_allocation")
        mean = by_leaf(adapter, sampled(adapter, kind), "allocation")
        np.testing.assert_allclose(found.mean(axis=-1), mean, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("kind", REDRAWN.values(), ids=REDRAWN)
    def test_an_estimate_claims_no_more(self, adapter: Adapter, kind: Sampling) -> None:
        """A redrawn measure is an estimate, and has no gap; the measures beside it have theirs."""
        run = sampled(adapter, kind)

        assert (run.status("train") == Status.ESTIMATED).all()
        assert np.isnan(run.gap("train")).all()
        assert (run.status("val") == Status.OK).all()

    @pytest.mark.parametrize("kind", REDRAWN.values(), ids=REDRAWN)
    def test_the_training_is_the_same(self, adapter: Adapter, kind: Sampling) -> None:
        """Drawing uses no random stream of the training: it goes where it goes without."""
        run, whole = sampled(adapter, kind), sampled(adapter, None)

        np.testing.assert_array_equal(run.loss("val"), whole.loss("val"))
