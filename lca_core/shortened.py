"""Long names made short enough for their place, and kept apart."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def shortened(labels: Sequence[str], longest: int) -> list[str]:
    """Keep the ends of long names, or what comes before equal ends.

    Args:
        labels: names, which may be equal.
        longest: letters that a name may have.

    Example:
        >>> from lca_core.shortened import shortened
        >>> shortened(["head", "encoder.blocks.1.projection", "encoder.blocks.2.attention"], 12)
        ['head', '….projection', '…2.attention']
        >>> shortened(["encoder.blocks.1.projection", "encoder.blocks.2.projection"], 12)
        ['…ks.1.proje…', '…ks.2.proje…']
    """
    found = [label if len(label) <= longest else "…" + label[1 - longest :] for label in labels]
    alike: dict[str, list[str]] = {}
    for label, kept in zip(labels, found, strict=True):
        alike.setdefault(kept, []).append(label)
    ends = {kept: _common_end(of) for kept, of in alike.items() if len(set(of)) > 1}
    return [
        _before(ends[kept], label, longest) if kept in ends else kept
        for label, kept in zip(labels, found, strict=True)
    ]


def _before(end: int, label: str, longest: int) -> str:
    """Keep what lies before an end of so many letters, and some of it."""
    last = len(label) - max(end - longest // 2, 0)
    first = max(last - longest + 2, 0)
    return f"{'…' if first else ''}{label[first:last]}…"


def _common_end(labels: Sequence[str]) -> int:
    """Return how many letters names have in common at their ends."""
    columns = zip(*map(reversed, labels), strict=False)
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, columns))
