"""What is written above a layer, as long as there is room for it."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.film.page import Label
    from lca_core.layout import Leaf


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
    parts = zip(*(re.findall(r"[^./]*[./]|[^./]+", layer) for layer in layers), strict=False)
    same = takewhile(lambda part: len(set(part)) == 1, parts)
    shared = "".join(part[0] for part in same) if len(set(layers)) > 1 else ""
    ends = [*(label.leaf for label in labels[1:]), len(leaves)]
    found: list[tuple[str, ...]] = []
    for label, end in zip(labels, ends, strict=False):
        here, layer = leaves[label.leaf : max(end, label.leaf + 1)], layers[label.leaf]
        own = [leaf.name.removeprefix(layer).lstrip("./") for leaf in here if leaf.size]
        whole = f"{layer}: {', '.join(own)}" if all(own) else layer
        found.append((whole, layer, layer.removeprefix(shared)))
    return found
