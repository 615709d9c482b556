"""How many gradients a step takes at the tolerance that the article's authors used."""

from __future__ import annotations

import os

import pytest

from benchmarks.processes import found_by

ASKED = 1.1
MNIST = os.environ.get("LCA_MNIST")
"""A folder with the files of MNIST."""

CASES = [
    ("digits", None, 40),
    pytest.param("mnist", MNIST, 1, marks=pytest.mark.skipif(not MNIST, reason="LCA_MNIST=")),
]


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize(("data", "folder", "epochs"), CASES)
def test_a_step_takes_little_more_than_one_gradient(benchmark, noted, data, folder, epochs):
    """The ends of a step are shared, and few steps of such a training bend."""
    case = {"data": data, "folder": folder, "epochs": epochs}
    found = benchmark.pedantic(found_by, ("gradients_process",), case, rounds=1)["gradients"]
    noted("gradients a step, gap 0.001", f"torch fc {data}", found, ASKED)
    assert found <= ASKED
