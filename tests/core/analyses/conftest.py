"""Runs whose numbers are made by hand."""

import numpy as np
import pytest

from lca_core import Header, Layout, Leaf, Run

LAYOUT = Layout([
    Leaf("a.weight", (2, 3), layer="a", unit_axis=0),
    Leaf("a.bias", (2,), layer="a", unit_axis=0),
    Leaf("b.weight", (4,), layer="b"),
])  # fmt: skip


@pytest.fixture
def made():
    """Return a function: arrays of one measure, shape (steps, ...) -> a run of "train"."""

    def make(layout=LAYOUT, totals=None, measures=("train",), **rows):
        rows = {name: np.asarray(values) for name, values in rows.items()}
        steps, n = len(rows["allocation"]), len(measures)
        leaves = len(layout.leaves)
        default = {
            "error": np.full((steps, leaves), 1e-9),
            "status": np.zeros(steps, np.int8),
            "audited": np.ones(steps, bool),
            "evaluations": np.ones(steps),
            "gap": np.zeros(steps),
        }
        full = {
            name: np.stack([np.asarray(values)] * n, axis=1)
            if np.ndim(values) < 2 or np.shape(values)[1] != n or n == 1
            else np.asarray(values)
            for name, values in {**default, **rows}.items()
        }
        full["iteration"] = np.arange(1, steps + 1)
        header = Header(layout, measures, (), {"observers": []}, (1.0,) * n)
        return Run(header, full, totals or {})

    return make
