"""Where each named leaf belongs: its layer, its units, its aliases."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import asdict, field, frozen

from lca_core.errors import LeafError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def _ints(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@frozen
class Leaf:
    """One named parameter array.

    Args:
        name: the framework's own name of it, wrappers stripped.
        shape: sizes of its axes.
        dtype: name of the framework's element type ("float32").
        layer: the layer that owns it.
        unit_axis: the axis that counts the layer's units (neurons, channels, embedding rows);
            None where it has no units: the leaf is then one unit.
        aliases: further names of the same array (tied weights), which counts once.

    Example:
        >>> from lca_core import Leaf
        >>> Leaf("fc1.weight", (100, 784), layer="fc1", unit_axis=0).units
        100
    """

    name: str
    shape: tuple[int, ...] = field(converter=_ints)
    dtype: str = "float32"
    layer: str = ""
    unit_axis: int | None = None
    aliases: tuple[str, ...] = field(default=(), converter=_names)

    def __attrs_post_init__(self) -> None:
        if self.unit_axis is not None and not 0 <= self.unit_axis < len(self.shape):
            msg = (
                f"Leaf '{self.name}' of shape {self.shape} has no axis {self.unit_axis}: "
                f"unit_axis must be None or one of its {len(self.shape)} axes, from 0."
            )
            raise LeafError(msg)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return math.prod(self.shape)

    @property
    def units(self) -> int:
        """Number of units: the length of the unit axis, or 1."""
        return 1 if self.unit_axis is None else self.shape[self.unit_axis]


@frozen
class ByUnit:
    """Groups units: into attention heads, say, which are blocks of rows.

    Args:
        group_of: (leaf, number of the unit in it) -> name of the group.

    Example:
        >>> from lca_core import ByUnit
        >>> by_head = ByUnit(lambda leaf, i: f"{leaf.layer}.head{i // 64}")
    """

    group_of: Callable[[Leaf, int], str]


By: TypeAlias = str | Callable[[Leaf], str] | re.Pattern[str] | ByUnit
"""How to group: "leaf", "layer", "unit", a function that names the group of a leaf, a regular
expression (what it finds in a leaf's name, or its first group, is the group; leaves without a
match keep their names), or `ByUnit`."""


def counts_units(by: By) -> bool:
    """Return whether groups are made of units, not of leaves."""
    return by == "unit" or isinstance(by, ByUnit)


def _leaves(values: Iterable[Leaf]) -> tuple[Leaf, ...]:
    return tuple(values)


@frozen
class Layout:
    """All leaves in order, and the groupings by leaf, layer and unit.

    Args:
        leaves: in the framework's order.

    Raises:
        LeafError: two leaves share a name.

    Example:
        >>> from lca_core import Layout, Leaf
        >>> weight = Leaf("w", (3, 2), layer="fc", unit_axis=0)
        >>> layout = Layout([weight, Leaf("b", (3,), layer="fc", unit_axis=0)])
        >>> layout.labels("unit")
        ('fc[0]', 'fc[1]', 'fc[2]')
    """

    leaves: tuple[Leaf, ...] = field(converter=_leaves)

    def __attrs_post_init__(self) -> None:
        twice = [name for name, n in Counter(leaf.name for leaf in self.leaves).items() if n > 1]
        if twice:
            msg = f"Every leaf needs a name of its own, got {twice} more than once."
            raise LeafError(msg)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the leaves."""
        return tuple(leaf.name for leaf in self.leaves)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Parameters of every leaf, shape (leaves,), int64."""
        return np.array([leaf.size for leaf in self.leaves], dtype=np.int64)

    @cached_property
    def smallest_first(self) -> tuple[str, ...]:
        """Names of the leaves, those with the fewest parameters first."""
        return tuple(leaf.name for leaf in sorted(self.leaves, key=lambda leaf: leaf.size))

    @cached_property
    def parameters(self) -> int:
        """Number of all parameters."""
        return int(self.sizes.sum())

    @cached_property
    def units(self) -> int:
        """Length of the "unit" axis of the run file: units of every leaf, leaf after leaf."""
        return sum(leaf.units for leaf in self.leaves)

    def labels(self, by: By) -> tuple[str, ...]:
        """Return the names of the groups by "leaf", "layer" or "unit", or of the user's own."""
        return tuple(dict.fromkeys(self._group_of(by)))

    def group(self, values: np.ndarray, by: By) -> np.ndarray:
        """Sum the last axis into groups.

        Args:
            values: shape (..., leaves), or (..., units) for by = "unit" and `ByUnit`.
            by: "leaf", "layer", "unit", a function of a `Leaf` that names its group, a regular
                expression, or `ByUnit`.

        Returns:
            Shape (..., groups), in the order of `labels(by)`.

        Example:
            >>> import numpy as np
            >>> from lca_core import Layout, Leaf
            >>> layout = Layout([Leaf("a.w", (3, 2)), Leaf("a.bias", (3,)), Leaf("b.bias", ())])
            >>> kind = lambda leaf: leaf.name.rpartition(".")[2]
            >>> layout.labels(kind), layout.group(np.array([-4.0, 1.0, 2.0]), kind)
            (('w', 'bias'), array([-4.,  3.]))
        """
        group_of = self._group_of(by)
        index = {label: i for i, label in enumerate(dict.fromkeys(group_of))}
        grouped = np.zeros((len(index), *values.shape[:-1]), values.dtype)
        places = np.array([index[label] for label in group_of], np.intp)
        np.add.at(grouped, places, np.moveaxis(values, -1, 0))
        return np.moveaxis(grouped, 0, -1)

    def group_sizes(self, by: By) -> np.ndarray:
        """Return the number of parameters of every group, shape (groups,)."""
        per_unit = (np.full(leaf.units, leaf.size // max(leaf.units, 1)) for leaf in self.leaves)
        units = np.concatenate([*per_unit, np.zeros(0, np.int64)])
        sizes = units if counts_units(by) else self.sizes
        return self.group(sizes, by)

    def _group_of(self, by: By) -> list[str]:
        if isinstance(by, ByUnit):
            return [by.group_of(leaf, i) for leaf in self.leaves for i in range(leaf.units)]
        if isinstance(by, re.Pattern):
            return [_found(by, leaf.name) for leaf in self.leaves]
        if callable(by):
            return [by(leaf) for leaf in self.leaves]
        if by == "leaf":
            return list(self.names)
        if by == "layer":
            return [leaf.layer for leaf in self.leaves]
        if by == "unit":
            return [label for leaf in self.leaves for label in _unit_labels(leaf)]
        msg = (
            "by must be 'leaf', 'layer', 'unit', a function of a leaf, a regular expression or "
            f"ByUnit, got {by!r}."
        )
        raise LeafError(msg)

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise a `LeafError` unless `params` has exactly these leaves, in these shapes."""
        missing = [name for name in self.names if name not in params]
        extra = [name for name in params if name not in self.names]
        if missing or extra:
            msg = (
                f"The parameters changed: missing {missing}, new {extra}. "
                "Start a new tracker when the set of trainable parameters changes."
            )
            raise LeafError(msg)
        for leaf in self.leaves:
            if tuple(params[leaf.name].shape) != leaf.shape:
                msg = (
                    f"Leaf '{leaf.name}' must keep its shape {leaf.shape}, "
                    f"got {tuple(params[leaf.name].shape)}."
                )
                raise LeafError(msg)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the leaves as JSON values."""
        return [asdict(leaf) for leaf in self.leaves]

    @classmethod
    def from_json(cls, leaves: Sequence[Mapping[str, Any]]) -> Layout:
        """Return the layout that `to_json` wrote."""
        return cls(Leaf(**leaf) for leaf in leaves)


def _found(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    if match is None:
        return name
    return match.group(1) if pattern.groups else match.group()


def _unit_labels(leaf: Leaf) -> list[str]:
    if leaf.unit_axis is None:
        return [leaf.name]
    return [f"{leaf.layer}[{i}]" for i in range(leaf.units)]
