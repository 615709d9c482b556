"""What a run answers with: numbers and the names of what they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.errors import UnknownGroupError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_IN_MEMORY = 64


@frozen
class Grouped:
    """Numbers with the names of their groups; unpacks as `labels, values`.

    Args:
        labels: names of the groups.
        values: the last axis runs over the groups.

    Example:
        >>> from lca_core.reference import demo_run
        >>> found = demo_run(steps=5).allocation("train", by="layer")
        >>> found.labels, found["fc1"].shape
        (('fc1', 'fc2'), (5,))
    """

    labels: tuple[str, ...]
    values: np.ndarray

    def __iter__(self) -> Iterator[Any]:
        """Yield labels, then values."""
        return iter((self.labels, self.values))

    def __getitem__(self, label: str) -> np.ndarray:
        """Return the values of one group.

        Args:
            label: its name.

        Raises:
            UnknownGroupError: there is no such group; a `KeyError`.
        """
        if label not in self.labels:
            msg = f"There is no group {label!r}; the groups are {list(self.labels)}."
            raise UnknownGroupError(msg)
        return np.asarray(self.values[..., self.labels.index(label)])


@frozen
class Helping:
    """Counts of parameters per step and group; each array has shape (T, groups).

    Args:
        labels: names of the groups.
        helped: parameters with A < 0.
        hurt: parameters with A > 0.
        unmoved: parameters with A = 0: they did not move, or had no gradient.
    """

    labels: tuple[str, ...]
    helped: np.ndarray
    hurt: np.ndarray
    unmoved: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Helped / (helped + hurt), shape (T, groups); NaN where nothing moved."""
        moved = self.helped + self.hurt
        share = np.full(moved.shape, np.nan)
        np.divide(self.helped, moved, out=share, where=moved > 0)
        return share


@frozen
class Tally:
    """On how many steps single parameters helped and hurt.

    Args:
        helped: steps with A < 0, shaped like the leaf.
        hurt: steps with A > 0; on the others it did not move or had no gradient.
    """

    helped: np.ndarray
    hurt: np.ndarray


@frozen
class Histogram:
    """How often values lie between edges.

    Args:
        labels: names of the groups.
        edges: ends of the bins, ascending, shape (bins + 1,); the bin in the middle is zero.
        counts: shape (groups, bins), int64.
    """

    labels: tuple[str, ...]
    edges: np.ndarray
    counts: np.ndarray

    @property
    def zero(self) -> int:
        """Place of the bin of zeros."""
        return int(self.counts.shape[1]) // 2

    @property
    def sizes(self) -> np.ndarray:
        """Counts of |value| between `edges[zero + 1:]`, without zeros, (groups, bins // 2)."""
        negative, positive = self.counts[:, : self.zero], self.counts[:, self.zero + 1 :]
        return np.asarray(positive + negative[:, ::-1])


def steps_together(rows: Any) -> int:
    """Return how many steps of an array a file keeps together; 64 of one in memory."""
    return int(getattr(rows, "chunks", (_CHUNK_IN_MEMORY,))[0])


@frozen
class DenseSeries(Sequence[np.ndarray]):
    """One leaf's values at every step, read when asked for.

    `series[t]` is shaped like the leaf, `series[a:b]` has the steps in front, `np.asarray` of it
    brings everything to memory.

    Args:
        shape: steps, then the leaf's.
    """

    shape: tuple[int, ...]
    _rows: Any = field(repr=False)
    _measure: int = field(repr=False)

    @property
    def chunk(self) -> int:
        """Steps that the file keeps together and that are best read at once; 64 in memory."""
        return steps_together(self._rows)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, steps: Any) -> Any:
        chosen = range(len(self))[steps]
        if isinstance(chosen, int):
            return np.asarray(self._rows[chosen, self._measure])
        if len(chosen) == 0 or chosen.step < 0:
            return np.array([self[t] for t in chosen], np.float32).reshape(-1, *self.shape[1:])
        return np.asarray(self._rows[chosen.start : chosen.stop : chosen.step, self._measure])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001
        return np.asarray(self[:], dtype)


@frozen
class Turns:
    """How often single parameters changed a sign.

    Args:
        count: sign changes, shaped like the leaf.
        ever: whether there was a sign at all; without one there is nothing to turn.
    """

    count: np.ndarray
    ever: np.ndarray


@frozen
class Watched:
    """Chosen parameters, step by step; each array has shape (T, parameters), float64.

    Args:
        labels: "fc1.weight[3, 17]".
        weight: at the step's end; NaN where a step was not looked at.
        gradient: ∂L/∂θ at the step's end, loss units per parameter unit; NaN likewise.
        allocation: of the step, loss units; 0 where another step stands for it.
    """

    labels: tuple[str, ...]
    weight: np.ndarray
    gradient: np.ndarray
    allocation: np.ndarray
