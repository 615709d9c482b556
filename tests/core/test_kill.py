"""A real process killed again and again: what it said is safe is safe, and it ends the same."""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray

import lca_core

SCRIPT = Path(__file__).with_name("training_process.py")
STEPS, KILLS = 240, 20


def started(folder, pause=0.0):
    """Start the training process."""
    command = [sys.executable, SCRIPT, folder, str(STEPS), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def safe(lines):
    """Return how many steps the process said are safe, or None if it never began."""
    numbers = [int(line.split()[1]) for line in lines.splitlines() if line.count(" ") == 1]
    return max(numbers, default=None)


def killed(folder, delay):
    """Kill the process some time after it began to train; return what it said is safe."""
    process = started(folder, pause=0.005)
    first = process.stdout.readline() if delay > 0 else ""
    time.sleep(abs(delay))
    process.kill()
    rest, _ = process.communicate()
    return safe(first + rest) or 0


def checked(path):
    """Open the file with both readers and return the run."""
    run = lca_core.load(path)
    with xarray.open_zarr(path) as dataset:
        dataset.load()
    assert dataset.sizes["step"] == run.steps
    assert np.array_equal(dataset["loss"][:, 0], run.loss("train"))
    assert np.isfinite(run.total("train")["fc1.weight"]).all()
    return run


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    """After every kill both readers find every chunk reported, and the end is bitwise right."""
    truth_folder, folder = tmp_path / "truth", tmp_path / "killed"
    truth_folder.mkdir()
    folder.mkdir()
    done, _ = started(truth_folder).communicate()
    assert f"done {STEPS}" in done
    truth = lca_core.load(truth_folder / "run.zarr")
    assert truth.steps == STEPS

    delays = random.Random(7)
    path = folder / "run.zarr"
    reached = []
    for kill in range(KILLS):
        # Every fifth is killed while it starts, the others while they train and write.
        delay = -delays.uniform(0.2, 0.8) if kill % 5 == 0 else delays.uniform(0.0, 1.0)
        steps = killed(folder, delay)
        if path.exists():
            run = checked(path)
            assert run.steps >= steps
            assert np.array_equal(run.loss("train"), truth.loss("train")[: run.steps + 1])
            reached.append(run.steps)
        if steps == STEPS:
            break
    assert len(set(reached)) > 5
    assert f"done {STEPS}" in started(folder).communicate()[0]

    run = checked(path)
    assert run.header == truth.header
    assert {n: v.tobytes() for n, v in run.rows.items()} == {
        n: v.tobytes() for n, v in truth.rows.items()
    }
    for name in ("total", "total_rounding"):
        for leaf, values in truth.totals["train"][name].items():
            assert run.totals["train"][name][leaf].tobytes() == values.tobytes()
    assert not list(folder.glob("*.partial"))
    assert len([p for p in (path / "checkpoints").iterdir() if p.is_dir()]) <= 3
