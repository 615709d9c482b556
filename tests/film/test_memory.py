"""What a film costs, and what a copy of a dense run costs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from lca_core import Dense, load
from lca_core.reference import demo_run

FC = {
    "fc1.weight": (100, 784), "fc1.bias": (100,), "fc2.weight": (50, 100), "fc2.bias": (50,),
    "fc3.weight": (10, 50), "fc3.bias": (10,),
}  # fmt: skip
MB = 2**20


class OnDisk:
    """Rows that say how they are read."""

    def __init__(self, rows, chunk):
        self.rows, self.chunks, self.shape = rows, (chunk, *rows.shape[1:]), rows.shape
        self.read = []

    def __getitem__(self, steps):
        self.read.append(len(range(len(self.rows))[steps]))
        return self.rows[steps]

    def __array__(self, *_, **__):
        pytest.fail("all of it was read at once")


def test_a_copy_is_made_chunk_by_chunk(tmp_path):
    """Saving reads no more of a dense record than a chunk, and keeps its chunks."""
    run = demo_run(100, observers=[Dense(["fc1.weight"])])
    (name,) = [one.name for one in run.header.declared if one.leaf]
    disk = OnDisk(run.rows[name], chunk=16)
    evolve(run, rows={**run.rows, name: disk}).save(tmp_path / "copy.zarr")
    assert disk.read == [16] * 6 + [4]
    copy = load(tmp_path / "copy.zarr")
    assert copy.dense("train", "fc1.weight").chunk == 16
    for kept in run.rows:
        np.testing.assert_array_equal(copy.rows[kept], run.rows[kept])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_memory_does_not_grow_with_steps(run_of, tmp_path):
    """FC on MNIST: 400 steps need what 50 need, and less than 1 GB, ffmpeg's included."""
    peaks = {}
    for steps in (50, 400):
        rng = np.random.default_rng(0)
        fades = 0.97 ** np.arange(steps)
        run_of(
            {
                name: fades.reshape(-1, *[1] * len(shape))
                * rng.standard_normal((steps, *shape), np.float32)
                for name, shape in FC.items()
            },
            units=dict.fromkeys(FC, 0),
        ).save(tmp_path / f"{steps}.zarr")
        film = Path(__file__).with_name("filming_process.py")
        done = subprocess.run(
            [sys.executable, film, tmp_path / f"{steps}.zarr", tmp_path / f"{steps}.mp4"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks[steps] = json.loads(done.stdout)
    # What is held, that is: the allocator keeps some of what was freed, a few chunks a thread.
    assert peaks[400]["held"] - peaks[50]["held"] < 32 * MB  # one leaf's 350 steps take 105
    assert peaks[400]["own"] + peaks[400]["ffmpeg"] < 1000 * MB, peaks
