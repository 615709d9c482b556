"""How the tests make runs of the small experiment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from attrs import evolve

from experiments.tiny import TINY
from lca_core import load
from lca_core.datasets import Source
from lca_core.experiments.job import jobs_of
from lca_core.networks import fc
from lca_core.training import TrainingSpec

BACKEND = "experiments.tiny:WATCHED"
SOURCE = Source("digits", examples=60)
BASE = TrainingSpec(network=fc((8, 8, 1)), batch_size=20, epochs=4)
STEPS = 12
OPTIONS = [
    "experiments.tiny:TINY", "--backend", BACKEND, "--examples", "60", "--batch-size", "20",
    "--epochs", "4", "--seeds", "2",
]  # fmt: skip
"""Of a command that makes the same runs as `jobs`."""


def jobs(out, seeds=(0, 1), backend=BACKEND, **base):
    """Return the runs of the small experiment."""
    return jobs_of(TINY.plan(evolve(BASE, **base), seeds), backend, SOURCE, Path(out))


def command(out, *flags):
    """Return `lca experiment` as the command line of a process of its own."""
    code = "from lca_core.cli import main; main()"
    return [sys.executable, "-c", code, "experiment", *OPTIONS, "--out", str(out), *flags]


def environment():
    """Return that of a process that can import what the tests can."""
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path}


def begun(marks):
    """Return (path, step) of every training that was begun, in order."""
    lines = marks.read_text().splitlines() if marks.exists() else []
    return [(path, int(step)) for path, step, _ in (line.rsplit(" ", 2) for line in lines)]


def assert_equal(one, other):
    """Two run files hold the same run, bit for bit."""
    one, other = load(one), load(other)
    assert one.header == other.header
    for name, rows in one.rows.items():
        np.testing.assert_array_equal(other.rows[name], rows, err_msg=name)
    for name, values in one.total("train").items():
        np.testing.assert_array_equal(other.total("train")[name], values, err_msg=name)
