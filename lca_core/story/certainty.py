"""How sure all of this is, and what is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.analyses import doubtful_signs
from lca_core.errors import NotRecordedError
from lca_core.segment import Status
from lca_core.summary import each
from lca_core.words import called, counted, few, plainly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.run import Run

_ONE_RUN = "All of this is about one run: what other seeds would do takes more of them."


def certainty_passage(run: Run, measure: str) -> str:
    """Say where the ± comes from, which steps are lost, and what one run cannot say."""
    if not run.steps:
        return ""
    sentences = (
        _lost(run, measure),
        _errors(run, measure),
        _signs(run, measure),
        _ONE_RUN,
        _without_counts(run),
    )
    return " ".join(filter(None, sentences))


def _lost(run: Run, measure: str) -> str:
    """Say how many steps count for nobody."""
    lost = int((run.status(measure) == Status.NONFINITE).sum())
    if not lost:
        return ""
    first = int(run.iteration[1:][~run.finite(measure)][0])
    what = "what it did is" if lost == 1 else "what they did is"
    probe = run.probe(measure)
    if probe and probe.every > 1:
        what = f"what each of them and the {probe.every - 1} others that it stood for did is"
    return (
        f"{counted(lost, each(run))} came to a value that is not finite, first at step {first:,}; "
        f"{what} in no sum."
    )


def _errors(run: Run, measure: str) -> str:
    """Say from how many steps the ± is known."""
    finite, seen = run.finite(measure), run.seen(measure)
    if not finite.any():
        return ""
    labels, half = run.error(measure)
    unknown = [label for label, one in zip(labels, half, strict=True) if np.isnan(one)]
    if run.redrawn(measure) and unknown:
        there = "there was one" if seen.any() else "there was none"
        return f"No ± is known: it takes two {each(run)}s that were looked at, and {there}."
    went = finite & ~run.stood_still(measure)
    if not went.any():
        return ""  # nothing moved, so there is nothing to be wrong about
    error = run.rows["error"][:, run.measures.index(measure)]
    looked = np.isfinite(error).all(axis=1) & seen & went
    compared, lots = int(looked.sum()), int((looked & run.audited(measure)).sum())
    where = f"two rules were compared at {compared:,} of {counted(int(went.sum()), each(run))}"
    if run.redrawn(measure) and not compared:
        return "Each ± is the 95 % of sampling; the error of integration is not in it."
    if len(unknown) == len(labels):
        return f"The error of the layers is not known: {where}."
    sampled = " The 95 % of sampling are in it." if run.redrawn(measure) else ""
    drawn = f", {lots:,} of them by lot" if 2 <= lots < compared else ""
    rest = "" if compared == went.sum() else f"{drawn}, which stand for the rest"
    missing = _where_unknown([called(label) for label in unknown])
    return f"Each ± is how wrong the integral can be: {where}{rest}.{sampled}{missing}"


def _where_unknown(labels: Sequence[str]) -> str:
    """Say which layers have no ±, as when they are frozen but for a few steps."""
    if not labels:
        return ""
    one = len(labels) == 1
    return (
        f" That of {few(labels)} is not known: where {'it' if one else 'they'} moved, hardly a "
        "step was compared."
    )


def _signs(run: Run, measure: str) -> str:
    """Say how many helps and hurts may be the other way round."""
    if not run.looked_at(measure).any():
        return ""
    if run.redrawn(measure):
        return "Which single parameters help at a step is known on its sample alone."
    try:
        found = doubtful_signs(run, measure, by=lambda _: "all")
    except NotRecordedError:
        return ""
    share, half = float(found.share[0]), 100 * float(found.half[0])
    if np.isnan(share):
        return ""
    went = run.finite(measure) & ~run.stood_still(measure)
    everywhere = found.looked_at == run.finite(measure).sum() and run.audited(measure)[went].all()
    return _turned_everywhere(share) if everywhere else _turned_on_a_sample(share, half)


def _turned_everywhere(share: float) -> str:
    """Say what the finer rule changed where it was used at every step: its signs count."""
    if not share:
        return "The finer rule turned no help or hurt round at any step."
    return (
        f"The finer rule turned {plainly(100 * share)} % of all helps and hurts round; its signs "
        "are on record, and only an even finer rule could tell which of them are wrong."
    )


def _turned_on_a_sample(share: float, half: float) -> str:
    """Say how many signs the finer rule would change at the other steps too."""
    if not share and not half:
        return "The finer rule turned no help or hurt round where it was compared."
    if not share:
        return (
            "The finer rule turned no help or hurt round where it was compared: with 95 % "
            f"certainty, at most {plainly(half)} % of all single signs are wrong."
        )
    return (
        f"The finer rule turned {plainly(100 * share)}{_plus_minus(half)} % of all helps and hurts "
        "round: so many single signs may be wrong."
    )


def _plus_minus(half: float) -> str:
    return f" ± {plainly(half, 1)}" if half else ""


def _without_counts(run: Run) -> str:
    if "helped" in run.rows:
        return ""
    return "How many parameters helped was not recorded."
