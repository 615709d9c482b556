"""What measuring on samples costs beside the training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "measure_sampling.py"
ASKED = {"250": 4.0, "250, every=10": 1.5}
"""Three times the training on top of it; the documented default for large models."""


def costs():
    """Return network -> probe -> time / time of training alone."""
    command = [sys.executable, SCRIPT, "--cost", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.bench
def test_samples_are_cheap_enough_to_leave_on(benchmark, noted):
    """Measuring seldom, on samples, costs less than half of the training's own time."""
    found = benchmark.pedantic(costs, rounds=1)
    for network, of_probe in found.items():
        for probe, ratio in of_probe.items():
            asked = {"asked": ASKED[probe]} if probe in ASKED else {}
            noted(f"training and samples: {probe}", f"torch {network}", ratio, **asked)
    assert found["784-2000-2000-10"]["250, every=10"] <= ASKED["250, every=10"]
