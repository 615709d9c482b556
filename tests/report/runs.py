"""Runs to be reported: with everything, with hostile names, and very large."""

from __future__ import annotations

import numpy as np
from attrs import evolve

from lca_core import Layout, Leaf, default_observers
from lca_core.observers import EXTRA_OBSERVERS
from lca_core.reference import Polynomial, demo_run, track
from lca_core.segment import Status

HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    '"><img src=x onerror=window.hacked=1>',
    "<b>bold</b>",
    '<a href="javascript:window.hacked=1">link</a>',
    "{{ 7 * 7 }} %{y} <!-- \u2028 &amp; $x^2$",
)


def observed_run(steps, seed=0):
    """Return a small run by class with everything that a report can show."""
    layout = demo_run(0).layout
    extra = [observer() for observer in EXTRA_OBSERVERS.values()]
    observers = [*default_observers(layout), *extra]
    return demo_run(steps, seed, observers=observers, by_class=True)


def lost_run(run, steps=slice(None)):
    """Return a run of which some steps, or all, came to no finite value."""
    rows = {name: array.copy() for name, array in run.rows.items()}
    for name in ("loss", "gap", "noise", "allocation", "error"):
        rows[name][steps] = np.nan
    for name in ("helped", "hurt"):
        rows[name][steps] = 0
    rows["status"][steps] = Status.NONFINITE
    return evolve(run, rows=rows)


def diverged_run(run):
    """Return a run whose losses and allocations, with their errors, are 10^16 times as large."""
    grown = ("loss", "gap", "allocation", "error")
    return evolve(run, rows={**run.rows, **{name: 1e16 * run.rows[name] for name in grown}})


def polynomial_run(names, steps=1, measure="train", parts=(), **options):
    """Return a run of one parameter a layer, whose layers have these names."""
    leaves = {name: np.ones(1) for name in names}
    problem = Polynomial(leaves, 2)
    layout = Layout([Leaf(name, (1,), "float64", layer=name) for name in names])
    each = [f"{measure}/{part}" for part in parts]
    oracles = dict.fromkeys([measure, *each], problem)
    wholes = {measure: dict.fromkeys(each, 1 / len(each))} if each else {}
    with track(oracles, leaves, layout, wholes=wholes, **options) as tracker:
        for step in range(steps):
            tracker.step({k: leaf * 0.5 ** (step + 1) for k, leaf in leaves.items()})
    return tracker.run


def huge_run(steps, layers):
    """Return a run of many steps and layers with random allocations that add up to its loss."""
    one = polynomial_run([f"model.decoder.block_{i:03d}.projection" for i in range(layers)])
    rng = np.random.default_rng(0)
    rows = {name: np.repeat(array, steps, axis=0) for name, array in one.rows.items()}
    rows["iteration"] = np.arange(1, steps + 1)
    fading = np.exp(-np.arange(steps) / 3000)[:, None, None]
    rows["allocation"] = 1e-3 * fading * (rng.standard_t(3, (steps, 1, layers)) - 0.2)
    rows["gap"] = 1e-6 * rng.standard_normal((steps, 1))
    change = rows["allocation"].sum(axis=2) + rows["gap"]
    rows["loss"] = one.header.initial_loss[0] + np.cumsum(change, axis=0)
    return evolve(one, rows=rows)
