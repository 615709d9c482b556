"""Every experiment of the article, small, on every framework: it ends in a verdict."""

import json
import os
import subprocess
import sys

import pytest

from lca_core.experiments.catalogue import EXPERIMENTS

pytestmark = pytest.mark.slow
OPTIONS = ["--data", "digits", "--batch-size", "250", "--epochs", "3", "--seeds", "3"]


@pytest.mark.parametrize("backend", ["torch", "jax", "keras"])
@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_on_every_backend(name, backend, tmp_path):
    """On digits, three seeds: all runs are made, judged, drawn, and told in strict JSON."""
    pytest.importorskip(backend)
    code = "from lca_core.cli import main; main()"
    words = [sys.executable, "-c", code, "experiment", name, "--backend", backend, *OPTIONS]
    done = subprocess.run(
        [*words, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert found["verdict"] in {"agrees", "disagrees", "undecided"}
    assert found["missing"] == []
    assert len({one["seed"] for one in found["runs"]}) == 3
    assert list(tmp_path.glob("*.png"))
    assert f"# {name}" in (tmp_path / "verdict.md").read_text()
