"""Every experiment of the article, small, on every framework: it ends in a verdict."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lca_core.experiments.catalogue import EXPERIMENTS

pytestmark = pytest.mark.slow
OPTIONS = ["--data", "digits", "--batch-size", "250", "--epochs", "3"]


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """Let JAX keep what it compiles: the runs of an experiment are the same program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


def found(name, backend, seeds, out):
    """Run an experiment by its command, and return its results."""
    pytest.importorskip(backend)
    code = "from lca_core.cli import main; main()"
    words = [sys.executable, "-c", code, "experiment", name, "--backend", backend, *OPTIONS]
    done = subprocess.run(
        [*words, "--seeds", str(seeds), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)


OTHERS = [("jax", "freeze"), ("keras", "delay")]
"""What frameworks do for experiments: hold a layer still, give one another rate and momentum."""


@pytest.mark.parametrize(
    ("backend", "name"),
    [*(("torch", name) for name in EXPERIMENTS), *OTHERS],
)
def test_every_experiment(name, backend, tmp_path):
    """On digits: all runs are made, judged, drawn, and told in strict JSON."""
    seeds = 2 if backend == "torch" else 1  # the others compile every run
    results = found(name, backend, seeds, tmp_path)
    assert results["verdict"] in {"agrees", "disagrees", "undecided"}
    assert results["missing"] == []
    assert len({one["seed"] for one in results["runs"]}) == seeds
    assert list(tmp_path.glob("*.png"))
    assert f"# {name}" in (tmp_path / "verdict.md").read_text()


def test_every_backend_finds_the_same(tmp_path):
    """Weights and batches are shared: the same verdict, and the same totals to a thousandth."""
    backends = ["numpy", "torch", "jax", "keras"]
    truth, *others = (found("layers", one, 3, tmp_path / one) for one in backends)
    assert truth["verdict"] == "agrees"
    for other in others:
        assert other["verdict"] == truth["verdict"]
        for mine, theirs in zip(
            other["results"]["layers"], truth["results"]["layers"], strict=True
        ):
            assert mine["layer"] == theirs["layer"]
            np.testing.assert_allclose(mine["totals"], theirs["totals"], rtol=1e-3)
