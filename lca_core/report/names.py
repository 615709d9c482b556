"""What to call runs that are known by their paths, and groups where there is little room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.shortened import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


LETTERS = {"wide": 30, "narrow": 14}
"""How many letters of a name a chart has room for, on a screen and on a phone."""


def short(labels: Sequence[str]) -> dict[str, list[str]]:
    """Return names as short as charts need them, and kept apart.

    Args:
        labels: names, in their order.
    """
    return {width: shortened(labels, letters) for width, letters in LETTERS.items()}


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return short names that differ: the last parts of the paths, as many as it takes.

    Args:
        paths: of run files; a plain "run.zarr" is called by its folder.

    Example:
        >>> from pathlib import Path
        >>> from lca_core.report.names import names_of
        >>> names_of([Path("out/adam/run.zarr"), Path("out/sgd/run.zarr")])
        ['adam', 'sgd']
        >>> names_of([Path("a/seed.zarr"), Path("b/seed.zarr"), Path("b/seed.zarr")])
        ['a/seed', 'b/seed', 'b/seed (2)']
    """
    parts = [_parts(path) for path in paths]
    depth = 1
    deepest = max(map(len, parts), default=1)
    while depth < deepest and len({one[-depth:] for one in parts}) < len(set(parts)):
        depth += 1
    names = ["/".join(one[-depth:]) for one in parts]
    return [
        name if name not in names[:i] else f"{name} ({names[: i + 1].count(name)})"
        for i, name in enumerate(names)
    ]


def _parts(path: Path) -> tuple[str, ...]:
    absolute = path.absolute()
    named = absolute.with_suffix("") if absolute.suffix == ".zarr" else absolute
    parts = tuple(part for part in named.parts if part != named.anchor)
    return parts[:-1] if len(parts) > 1 and parts[-1] == "run" else parts or ("run",)
