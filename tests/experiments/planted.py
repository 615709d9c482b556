"""Runs whose numbers are planted, and really trained tiny ones."""

import json
from functools import cache

import numpy as np

from lca_core import Header, Layout, Leaf, Run
from lca_core.datasets import Dataset, Split
from lca_core.reference.adapter import ADAPTER

LAYOUT = Layout([Leaf("a.kernel", (6,), layer="a"), Leaf("b.kernel", (4,), layer="b")])
START = 3.0


def strict(results):
    """Return results as JSON says them; NaN and infinity are errors."""
    return json.loads(json.dumps(results, allow_nan=False))


def planted(train, val=None, *, totals=None, layout=LAYOUT, **rows):
    """Return a run of "train" and "val" with these allocations of layers, (steps, layers)."""
    both = np.stack([np.asarray(train, float)] * 2, axis=1)
    if val is not None:
        both[:, 1] = val
    steps = len(both)
    full = {
        "allocation": both,
        "loss": START + both.sum(axis=2).cumsum(axis=0),
        "gap": np.zeros((steps, 2)),
        "error": np.full(both.shape, 1e-9),
        "status": np.zeros((steps, 2), np.int8),
        "audited": np.ones((steps, 2), bool),
        "buffers": np.zeros((steps, 2)),
        "noise": np.zeros((steps, 2)),
        "evaluations": np.ones((steps, 2), np.int64),
        "iteration": np.arange(1, steps + 1),
        **{name: np.stack([np.asarray(row)] * 2, axis=1) for name, row in rows.items()},
    }
    header = Header(layout, ("train", "val"), (), {"observers": []}, (START, START))
    return Run(header, full, totals or {})


def diverged():
    """Return a run that went far up, and ended at a loss that is no number."""
    return planted([[1e9, 1e9], [np.nan, np.nan]], status=np.array([0, 3], np.int8))


def by_seed(runs):
    """Return an arm: seed -> run."""
    return dict(enumerate(runs))


@cache
def blobs():
    """Return a data set of three noisy blobs of 2 x 2 pixels."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((3, 2, 2, 1))

    def split(n):
        labels = rng.integers(3, size=n)
        inputs = centres[labels] + 1.2 * rng.standard_normal((n, 2, 2, 1))
        return Split(inputs.astype(np.float32), labels)

    return Dataset("blobs", split(60), split(40), classes=3)


def trained(planned):
    """Return the arms of planned trainings, really trained by the numpy adapter."""
    arms = {}
    for one in planned:
        run = ADAPTER.train(
            one.spec, blobs(), on_step=lambda _: None, tracking=one.tracking, by_class=one.by_class
        )
        arms.setdefault(one.arm, {})[one.spec.seed] = run
    return arms
