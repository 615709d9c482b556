"""Sentences broken into lines, but not between a number and its sign."""

from __future__ import annotations

import re
from textwrap import fill

_AROUND_SIGNS = re.compile(r" (?=[±=<%])|(?<=[±=<]) |(?<=mean) (?=-?\d)")


def wrapped(text: str, width: int) -> str:
    """Break a text into lines, but not around a sign: "± 2", "p < 0.1", "50 %".

    Args:
        text: of one paragraph.
        width: characters of a line at most.

    Example:
        >>> from lca_core.wrapped import wrapped
        >>> print(wrapped("It helped on 50 % of them.", 15))
        It helped on
        50 % of them.
    """
    kept = _AROUND_SIGNS.sub("\u00a0", text)
    if max(map(len, kept.split(" "))) > width:  # too narrow for that
        kept = text
    lines = fill(kept, width, break_on_hyphens=False)
    return lines.replace("\u00a0", " ")
