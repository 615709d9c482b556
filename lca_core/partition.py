"""Data split into groups: each is a measure, and together they are the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.errors import DataError, RuleError

if TYPE_CHECKING:
    from attrs import Attribute


class Arranged:
    """What stands in the place of a measure's data, and says how they are looked at."""

    __slots__ = ()


def check_data(arranged: Arranged, _: Attribute[Any], data: Any) -> None:
    """Raise a `DataError` where samples and partitions are put into one another."""
    if isinstance(data, Arranged):
        msg = (
            f"The data of a {type(arranged).__name__} must be those that the adapter takes, got a "
            f"{type(data).__name__}: samples and partitions do not nest. Pass its data, and the "
            "labels as by=."
        )
        raise DataError(msg)


@frozen
class Partition(Arranged):
    r"""Data whose groups are measured each for itself, in one pass over all of them.

    .. math:: L = \sum_c w_c L_c, \qquad A_{t,i} = \sum_c w_c A^c_{t,i}

    where w_c is the group's share of all examples (or of their weight). Passed as the data of a
    measure "train", it also makes the measures "train/class=0", "train/class=1", and so on.

    Args:
        data: as the adapter takes it, but such that single examples can be picked.
        by: the label of every example, shape (n,), or a function of `data` that returns them:
            classes, domains, buckets of length.
        name: what the labels are.

    Raises:
        DataError: a label is no number or word.

    Example:
        >>> import numpy as np
        >>> from lca_core import Partition
        >>> x, y = np.zeros((3, 2)), np.array([1, 0, 1])
        >>> {label: places.tolist() for label, places in Partition((x, y), by=y).places().items()}
        {'class=0': [1], 'class=1': [0, 2]}

    Source: LCA paper, "Learning is synchronized across layers" (per-class allocations).
    """

    data: Any = field(validator=check_data)
    by: Any = field()
    name: str = "class"

    def places(self) -> dict[str, np.ndarray]:
        """Return "name=label" -> the places of its examples, in order of the labels."""
        labels = _plain(self.by(self.data) if callable(self.by) else self.by)
        groups: dict[Any, list[int]] = {}
        for place, label in enumerate(labels):
            if not isinstance(label, (bool, int, float, str)) or _is_nan(label):
                msg = (
                    f"A label must be a number or a word, got {label!r} for example {place} of a "
                    f"partition by {self.name}."
                )
                raise DataError(msg)
            groups.setdefault(label, []).append(place)
        if not groups:
            msg = f"A partition by {self.name} needs at least one example, got no labels."
            raise DataError(msg)
        in_order = sorted(groups, key=lambda label: (isinstance(label, str), label))
        for label in in_order:
            if not isinstance(label, str) and str(label) in groups:
                msg = (
                    f"The labels {label!r} and '{label}' would name two groups "
                    f"{self.name}={label}. Pass labels of one type."
                )
                raise DataError(msg)
        return {f"{self.name}={label}": np.array(groups[label]) for label in in_order}


Take = Callable[[Any, np.ndarray, int], Any]
"""(data, places, expected number of examples) -> those examples, as data."""


def expanded(
    data: Mapping[str, Any], take: Take
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Return the data of every measure, and whole -> its parts.

    Args:
        data: measure -> data, or a `Partition` of them.
        take: how the adapter picks examples.

    Raises:
        DataError: a part has the name of another measure.
    """
    measures: dict[str, Any] = {}
    wholes: dict[str, tuple[str, ...]] = {}
    for measure, what in data.items():
        if not isinstance(what, Partition):
            measures[measure] = what
            continue
        places = what.places()
        examples = sum(map(len, places.values()))
        parts = {f"{measure}/{k}": take(what.data, place, examples) for k, place in places.items()}
        wholes[measure] = tuple(parts)
        if twice := [name for name in parts if name in measures or name in data]:
            msg = (
                f"The partition '{measure}' has the parts {twice}, and there are measures of these "
                "names too. Give them other names."
            )
            raise DataError(msg)
        measures |= parts
    return measures, wholes


def shares(
    wholes: Mapping[str, tuple[str, ...]], weight: Callable[[str], float]
) -> dict[str, dict[str, float]]:
    """Return whole -> part -> its share of the weight of all.

    Args:
        wholes: whole -> its parts.
        weight: part -> its number of examples, or the sum of their weights.

    Raises:
        DataError: the examples of a part weigh nothing; its mean is not defined.
    """
    found: dict[str, dict[str, float]] = {}
    for whole, parts in wholes.items():
        weights = {part: weight(part) for part in parts}
        for part, one in weights.items():
            check_weight(part, one)
        total = sum(weights.values())
        found[whole] = {part: one / total for part, one in weights.items()}
    return found


def check_weight(measure: str, weight: float) -> None:
    """Raise a `DataError` unless the examples of a measure weigh anything."""
    if not weight > 0:
        msg = (
            f"The examples of '{measure}' weigh {weight} together, so they have no mean loss. "
            "Leave them out of the data, or join them with another group."
        )
        raise DataError(msg)


def check_length(examples: int, labels: int) -> None:
    """Raise a `DataError` unless every example has one label."""
    if examples != labels:
        msg = (
            f"A partition needs one label for every example: {examples} examples, {labels} labels."
        )
        raise DataError(msg)


def check_mode(wholes: Mapping[str, tuple[str, ...]], mode: str) -> None:
    """Raise a `RuleError` where a batch norm would see the groups instead of the mixture."""
    if wholes and mode != "eval":
        msg = (
            f"A partition needs mode='eval', got {mode!r}: with batch norm on each chunk's own "
            "statistics, the loss of all examples is not the mean of the losses of the groups."
        )
        raise RuleError(msg)


def _is_nan(label: Any) -> bool:
    return isinstance(label, float) and math.isnan(label)


def _plain(labels: Any) -> list[Any]:
    """Return labels as Python values, from any framework's array."""
    for name in ("tolist", "numpy"):
        if hasattr(labels, name):
            return _plain(getattr(labels, name)())
    if not isinstance(labels, Iterable):
        msg = (
            "by must be the labels of all examples, shape (n,), or a function of the data that "
            f"returns them, got {labels!r}. Pass one label for every example."
        )
        raise DataError(msg)
    return [one.item() if isinstance(one, np.generic) else one for one in labels]
