"""The film of a run, to be played inside of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lca_core.run import Run


def film(run: Run, name: str) -> dict[str, str]:
    """Return the film as a data: URI, its name and one sentence; empty where there is none.

    Args:
        run: a finished run.
        name: what to call it.
    """
    return {}
