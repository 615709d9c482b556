"""What a picture of a redrawn measure says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lca_core.run import Run


def of_samples(run: Run, measure: str) -> str:
    """Say whose signs these are where steps have examples of their own, "" elsewhere.

    Args:
        run: a finished run.
        measure: its name.

    Example:
        >>> from lca_core.figures.samples import of_samples
        >>> from lca_core.reference import demo_run
        >>> of_samples(demo_run(), "train")
        ''
    """
    words = "signs are those of the steps' samples, not of all examples"
    return words if run.redrawn(measure) and run.seen(measure).any() else ""
