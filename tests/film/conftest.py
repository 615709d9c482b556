"""Runs of any values, and films read back by the same ffmpeg."""

import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from lca_core import Dense, Header, Layout, Leaf, Run
from lca_core.film.encoder import ffmpeg
from lca_core.ledger import LEDGER
from lca_core.memory import empty_rows

settings.register_profile(
    "film", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("film")


def make_run(values, *, loss=None, lost=(), units=None, kept=None):
    """Return a run whose leaves have these allocations.

    values: leaf name -> (steps, *shape); units: leaf name -> unit axis.
    """
    units = units or {}
    steps = len(next(iter(values.values())))
    leaves = [
        Leaf(name, of.shape[1:], layer=name.rpartition(".")[0] or name, unit_axis=units.get(name))
        for name, of in values.items()
    ]
    layout = Layout(leaves)
    loss = np.linspace(2.0, 1.0, steps + 1) if loss is None else np.asarray(loss, float)
    declared = (*LEDGER, *Dense(kept).declare(layout))
    header = Header(layout, ("train",), declared, {}, (float(loss[0]),))
    empty = empty_rows(header)
    rows = {name: np.zeros((steps, *of.shape[1:]), of.dtype) for name, of in empty.items()}
    rows["iteration"] = np.arange(1, steps + 1)
    rows["loss"] = loss[1:, None]
    rows["status"][list(lost)] = 3
    for one in declared:
        if one.leaf:
            rows[one.name] = values[one.leaf][:, None].astype(np.float32)
    return Run(header, rows, {"train": {}})


def read_back(path):
    """Return the frames of a film as (frames, height, width, 3) uint8."""
    told = [ffmpeg(), "-hide_banner", "-i", str(path)]
    described = subprocess.run(told, capture_output=True, text=True, check=False).stderr
    (size,) = {word.strip(",") for word in described.split() if _is_size(word.strip(","))}
    width, height = map(int, size.split("x"))
    raw = ["-loglevel", "error", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    decoded = subprocess.run([*told, *raw, "pipe:1"], capture_output=True, check=True).stdout
    return np.frombuffer(decoded, np.uint8).reshape(-1, height, width, 3), described


def _is_size(word):
    width, x, height = word.partition("x")
    return bool(x) and width.isdigit() and height.isdigit() and int(width) > 99


@pytest.fixture(scope="session")
def run_of():
    """Return `make_run`."""
    return make_run


@pytest.fixture(scope="session")
def decoded():
    """Return `read_back`."""
    return read_back
