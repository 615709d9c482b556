"""What is shown of observers that not every run has: sizes, heroes, turns, peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core import analyses
from lca_core.errors import NotRecordedError
from lca_core.report.names import short

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.run import Run

_BINS = 50


def observed(run: Run, measure: str) -> dict[str, Any]:
    """Return what the run holds of them; what was not recorded is left out."""
    found = {}
    for name, show in _SHOWN.items():
        try:
            found[name] = show(run, measure)
        except NotRecordedError:
            continue
    return found


def _sizes(run: Run, measure: str) -> dict[str, Any]:
    """How many helped and hurt at every size, octave by octave, by layer and together."""
    together = analyses.distribution(run, measure, by=lambda _: "all")
    by_layer = run.distribution(measure, "layer")
    counts = np.concatenate([by_layer.counts, together.histogram.counts])
    zero, edges = by_layer.zero, by_layer.edges[by_layer.zero + 1 :]
    octave = np.floor(np.log2(np.maximum(edges[:-1], np.finfo(float).tiny))).astype(int)
    first = np.flatnonzero(np.diff(octave, prepend=octave[0] - 1))
    helped, hurt = (
        np.add.reduceat(one, first, axis=1).astype(float)
        for one in (counts[:, :zero][:, ::-1], counts[:, zero + 1 :])
    )
    used = np.flatnonzero((hurt + helped).any(axis=0))
    low, high = (used[0], used[-1] + 1) if used.size else (0, 0)
    return {
        "edges": np.append(edges[first], edges[-1])[low : high + 1],
        "helped": helped[:, low:high],
        "hurt": hurt[:, low:high],
        "zeros": counts[:, zero].astype(float),
        "mean": float(together.mean[0]),
        "tail": float(together.tail_index()[0]),
    }


def _heroes(run: Run, measure: str) -> dict[str, Any]:
    """How many parameters helped on which share of the steps on which they moved."""
    found = analyses.heroes_and_villains(run, measure)
    share = found.share[np.isfinite(found.share)]
    counts, edges = np.histogram(share, bins=_BINS, range=(0.0, 1.0))
    return {"counts": counts.astype(float), "edges": edges, "spread": found.spread,
            "moved": int(share.size), "between": list(found.between(95))}  # fmt: skip


def _turns(run: Run, measure: str) -> dict[str, Any]:
    """How many steps pass between two turns, leaf by leaf, and over all.

    Raises:
        NotRecordedError: steps were passed over, and their turns with them.
    """
    if not run.looked_at(measure).all():
        msg = f"Not all steps of '{measure}' were looked at: nobody knows how often a sign turned."
        raise NotRecordedError(msg)
    found = analyses.steps_between_turns(run, measure)
    labels = list(found.labels)
    return {"labels": labels, "short": short(labels), "motion": found.motion,
            "gradient": found.gradient, "allocation": found.allocation}  # fmt: skip


def _peaks(run: Run, measure: str) -> dict[str, Any]:
    """Where the deepest minima of every layer are, for every part of the data."""
    moments = analyses.Moments.of(run, measure)
    aligned = moments.aligned
    part, layer, step = np.nonzero(moments.peaks)
    return {
        "parts": list(moments.parts),
        "short": short([part.removeprefix(f"{measure}/") for part in moments.parts]),
        "active": int(moments.active.sum()),
        "part": part.astype(np.int32),
        "layer": layer.astype(np.int32),
        "step": run.iteration[step + 1].astype(np.int32),
        "together": aligned[part, step].astype(np.int32),
        "moments": int(aligned.sum()),
    }


_SHOWN: dict[str, Callable[[Run, str], dict[str, Any]]] = {
    "sizes": _sizes,
    "heroes": _heroes,
    "turns": _turns,
    "peaks": _peaks,
}
