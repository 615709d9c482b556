"""What is written above a layer, as long as there is room for it."""

from __future__ import annotations

import re
from functools import cache, partial
from itertools import chain, takewhile
from typing import TYPE_CHECKING

from lca_core.film.lettering import fitting
from lca_core.shortened import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.film.page import Label
    from lca_core.layout import Leaf


_FEWEST = 4
"""Letters of a name that is cut, at least."""


def written(
    leaves: Sequence[Leaf], labels: Sequence[Label], rooms: Sequence[int], size: int
) -> list[str]:
    """Return what is written at every label: as much as has room, and the same for no two layers.

    Nothing where a layer cannot be told from another.

    Args:
        leaves: of the page.
        labels: of the page.
        rooms: pixels of every label.
        size: of the letters, pixels.

    Example:
        >>> from lca_core import Leaf
        >>> from lca_core.film.names import written
        >>> from lca_core.film.page import Label
        >>> leaves = [Leaf(f"stage{n}_block.w", (3,), layer=f"stage{n}_block") for n in "12"]
        >>> written(leaves, [Label(0, 0, 0), Label(1, 0, 9)], [60, 60], size=10)
        ['1_block', '2_block']
    """
    names = names_of(leaves, labels)
    own = _without_common_start([of[-1] for of in names])
    cut = cache(partial(shortened, own))
    found = []
    for i, (of, room) in enumerate(zip(names, rooms, strict=True)):
        shorter = (cut(n)[i] for n in range(len(own[i]), _FEWEST - 1, -1))
        found.append(fitting(chain(of, shorter), size, room))
    layers: dict[str, set[str]] = {}
    for name, of in zip(found, names, strict=True):
        layers.setdefault(name, set()).add(of[1])
    return [name if len(layers[name]) == 1 else "" for name in found]


def _without_common_start(names: Sequence[str]) -> list[str]:
    """Drop the letters that all names begin with, but no part of a number."""
    common = _common_start(names).rstrip("0123456789")
    return [name.removeprefix(common) or name for name in names]


def _common_start(names: Sequence[Sequence[str]]) -> str:
    """Return what all names begin with, letters or parts; nothing where there is one name."""
    if len(set(map("".join, names))) < 2:
        return ""
    same = takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    return "".join(column[0] for column in same)


def names_of(leaves: Sequence[Leaf], labels: Sequence[Label]) -> list[tuple[str, ...]]:
    """Return the names that may stand at each label, the longest first.

    The layer with its leaves there, the layer alone, and the layer without what the names of all
    layers begin with.

    Example:
        >>> from lca_core import Leaf
        >>> from lca_core.film.names import names_of
        >>> from lca_core.film.page import Label
        >>> leaves = [Leaf(f"net.{n}.{own}", (3,), layer=f"net.{n}") for n in "12" for own in "wb"]
        >>> names_of(leaves, [Label(0, 0, 0), Label(2, 0, 9)])
        [('net.1: w, b', 'net.1', '1'), ('net.2: w, b', 'net.2', '2')]
    """
    layers = [leaf.layer or leaf.name for leaf in leaves]
    shared = _common_start([re.findall(r"[^./]*[./]|[^./]+", layer) for layer in layers])
    ends = [*(label.leaf for label in labels[1:]), len(leaves)]
    found: list[tuple[str, ...]] = []
    for label, end in zip(labels, ends, strict=False):
        here, layer = leaves[label.leaf : max(end, label.leaf + 1)], layers[label.leaf]
        own = [leaf.name.removeprefix(layer).lstrip("./") for leaf in here if leaf.size]
        whole = f"{layer}: {', '.join(own)}" if all(own) else layer
        found.append((whole, layer, layer.removeprefix(shared)))
    return found
