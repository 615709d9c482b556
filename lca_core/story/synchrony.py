"""How synchronous: do all layers learn at the same moments?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.analyses import PEAKS, Moments
from lca_core.analyses.stretches import STRETCH
from lca_core.errors import AnalysisError
from lca_core.words import counted, expected

if TYPE_CHECKING:
    from lca_core.run import Run

_SURE = 0.01


def synchrony_passage(run: Run, measure: str) -> str:
    """Count the steps at which all layers have a peak, and ask whether chance does as well."""
    moments = Moments.of(run, measure)
    if not moments.peaks[:, moments.active].any(axis=-1).all():
        return ""  # a layer whose allocation has no local minimum cannot learn together with others
    try:
        found = moments.tested()
    except AnalysisError:  # one layer alone, or hardly a step
        return ""
    verdict = "Layers learned" if found.p_value <= _SURE else "It is not clear that layers learned"
    tested = int(moments.active.sum())
    layers = f"{'both' if tested == 2 else f'all {tested:,}'} layers"
    if not moments.active.all():
        layers += " that did anything"
    parts = f", over {counted(len(moments.parts), 'part')} of {measure}" * bool(run.parts(measure))
    which = "every layer" + ", all parts together," * bool(run.parts(measure))
    return (
        f"{verdict} at the same moments: {layers} had one of their up to {PEAKS} largest "
        f"peaks at the same step {counted(found.observed, 'time')}{parts}; if chance had moved "
        f"the peaks of {which} within stretches of about {STRETCH} steps, it would be "
        f"{expected(found.expected)} (p = {found.p_value:.2g}, {counted(len(found.null), 'draw')})."
    )
