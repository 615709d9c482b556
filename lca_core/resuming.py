"""How a seeded training comes back to where its run file stands: by being repeated, untracked."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from lca_core.errors import ResumeError

if TYPE_CHECKING:
    from collections.abc import Iterator

Iterate = TypeVar("Iterate")


def resumes_at(
    path: str | os.PathLike[str] | None = None, *, resume: bool = False, **_: Any
) -> int:
    """Return the step from which a run goes on; 0 for a new one.

    Args:
        path: a run file, or where there will be one.
        resume: whether to go on with what is there.
        _: further arguments of `track`.

    Example:
        >>> from lca_core.resuming import resumes_at
        >>> resumes_at("nowhere.zarr", resume=True)
        0
    """
    if path is None or not resume or not os.path.lexists(path):
        return 0
    from lca_core.schema import read_root

    _header, commit = read_root(path)
    return commit.iteration


def reached(iterates: Iterator[Iterate], **tracking: Any) -> Iterate:
    """Advance a training to the step from which its run goes on, and return the iterate there.

    Measuring costs hundreds of times what training costs: repeating the training is cheap, and
    brings back optimizer, random streams and order of examples without storing any of them.

    Args:
        iterates: θ_0, θ_1, ..., each made when asked for.
        tracking: arguments of `track`; `path` and `resume` count.

    Raises:
        ResumeError: the training ends before that step.

    Example:
        >>> from lca_core.resuming import reached
        >>> reached(iter("abc"))
        'a'
    """
    steps = resumes_at(**tracking)
    for iterate in islice(iterates, steps, None):
        return iterate
    msg = (
        f"The run file '{tracking['path']}' stands at step {steps}, where this training has ended "
        "already. Train for longer than that to go on with it, or write to another path."
    )
    raise ResumeError(msg)
