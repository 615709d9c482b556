"""The guide to observers of one's own runs as it is printed, and says what is true."""

import re
from pathlib import Path

import numpy as np
import pytest

import lca_core
from lca_core import Dense, names
from lca_core.datasets import digits
from lca_core.networks import fc
from lca_core.optimizers import SGD
from lca_core.reference import demo_run
from lca_core.training import TrainingSpec

GUIDE = Path(__file__).parents[2] / "docs" / "writing-an-observer.md"
TEXT = GUIDE.read_text("utf-8")


@pytest.fixture(scope="module")
def told():
    """Return the names that all Python blocks make, one after the other."""
    made = {}
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(block, made)  # noqa: S102 - our own text
    return made


def test_the_guide_s_observer_keeps_what_it_says(told):
    """Its sums are those of every single allocation, signs apart, by leaf and by parameter."""
    kept, run = demo_run(steps=50, observers=[Dense()], by_class=True), told["run"]
    measure = "train/class=0"
    dense = {leaf: kept.dense(measure, leaf) for leaf in kept.layout.names}
    leaves = {leaf: np.asarray(values, np.float64) for leaf, values in dense.items()}
    place = run.measures.index(measure)
    for i, (leaf, values) in enumerate(leaves.items()):
        by_step = abs(values).reshape(50, -1).sum(axis=1)
        np.testing.assert_allclose(run.rows["work"][:, place, i], by_step, rtol=1e-5)
        total = run.totals[measure]["work_total"][leaf]
        np.testing.assert_allclose(total, abs(values).sum(axis=0), rtol=1e-5)
    for side, sign in (("helped", -1), ("hurt", 1)):
        truth = sum(values[sign * values > 0].sum() for values in leaves.values())
        assert told[side] == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_guide_s_observer_works_on_a_device(framework, told):
    """Traced or not, it keeps the sums of what every parameter was allocated."""
    adapter = pytest.importorskip(f"lca_{framework}.adapter").ADAPTER
    spec = TrainingSpec(fc((8, 8, 1), hidden=(4,)), SGD(0.05), batch_size=500, epochs=1)
    tracking = {"observers": (Dense(), told["Work"]())}
    run = adapter.train(spec, digits(), on_step=lambda _: None, tracking=tracking)
    for i, leaf in enumerate(run.layout.names):
        values = abs(np.asarray(run.dense("train", leaf), np.float64))
        by_step = values.reshape(run.steps, -1).sum(axis=1)
        np.testing.assert_allclose(run.rows["work"][:, 0, i], by_step, rtol=1e-6)
        total = run.totals["train"]["work_total"][leaf]
        np.testing.assert_allclose(total, values.sum(axis=0), rtol=1e-6, atol=1e-12)
    helped, hurt = run.rows["work_split"][:, 0].T
    np.testing.assert_allclose(hurt - helped, run.rows["work"][:, 0].sum(axis=1), rtol=1e-12)
    assert run.steps == 3
    assert (helped < 0).all()


def test_what_the_guide_names_is_there():
    """Its links lead somewhere, and it names every name that is taken."""
    code = Path(lca_core.__file__).parents[1]
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        # The code is beside the docs in the repository, and elsewhere where it is installed.
        place = code / link[3:] if link.startswith("../") else GUIDE.parent / link
        assert place.exists(), link
    for name in names.RESERVED:
        assert f"`{name.removesuffix('.partial')}`" in TEXT
