"""A training from a spec measures samples where it is asked to, on every backend."""

import pytest

from lca_core.adapters import find_adapter
from lca_core.datasets import Source
from lca_core.errors import UnsupportedError
from lca_core.sampling import Sampling
from lca_core.training import TrainingSpec


def trained(backend, sampling, **options):
    """Return the run of one short epoch on a few digits."""
    dataset = Source("digits", None, 60).load()
    return find_adapter(backend).train(
        TrainingSpec(epochs=1, batch_size=30, seed=2),
        dataset,
        on_step=lambda _: None,
        tracking={"sampling": sampling},
        **options,
    )


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "keras"])
def test_every_backend_draws_the_same(backend):
    """A probe of a spec's training is the same examples everywhere: its first loss is the same."""
    name = {"numpy": "lca_core.reference.adapter:ADAPTER"}.get(backend, backend)
    if backend != "numpy":
        pytest.importorskip(f"lca_{backend}")
    run = trained(name, Sampling(probe=20, stratified=True))
    truth = trained("lca_core.reference.adapter:ADAPTER", Sampling(probe=20, stratified=True))
    assert run.probe("train").examples == run.probe("val").examples == 20
    assert run.loss("train") == pytest.approx(truth.loss("train"), rel=1e-4)


def test_small_splits_are_measured_whole():
    """A split that holds no more than the probe is measured on all of it."""
    run = trained("lca_core.reference.adapter:ADAPTER", Sampling(probe=60))
    assert run.probe("train") is None


def test_classes_apart_are_not_sampled():
    """Both at once is refused, and nothing is trained."""
    with pytest.raises(UnsupportedError, match="Leave out one"):
        trained("lca_core.reference.adapter:ADAPTER", Sampling(probe=20), by_class=True)
