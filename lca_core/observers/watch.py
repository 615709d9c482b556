"""Chosen parameters, step by step."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from attrs import field, frozen

from lca_core.errors import LeafError
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lca_core.layout import Layout
    from lca_core.run import Run
    from lca_core.typing import Array, ArrayOps, ObserverState, Params, StepView

Place: TypeAlias = tuple[str, tuple[int, ...]]
"""Leaf name, and where in the leaf: `("fc1.weight", (3, 17))`."""


def _places(values: Iterable[tuple[str, Iterable[int]]]) -> tuple[Place, ...]:
    """Return whole numbers, leaf after leaf in the order of their first mention."""
    places = [(name, tuple(int(i) for i in index)) for name, index in values]
    first = {name: i for i, (name, _) in reversed(list(enumerate(places)))}
    return tuple(sorted(places, key=lambda place: first[place[0]]))


@frozen
class Watch:
    """Weight, gradient and allocation of chosen parameters at every step.

    Read it with `Run.watched`.

    Args:
        parameters: leaf name and index of each, `[("fc1.weight", (3, 17)), ("fc1.bias", (0,))]`;
            kept leaf after leaf.

    Example:
        >>> from lca_core import Watch
        >>> from lca_core.reference import demo_run
        >>> run = demo_run(steps=5, observers=[Watch([("fc1.weight", (0, 1))])])
        >>> run.watched("train").labels, run.watched("train").weight.shape
        (('fc1.weight[0, 1]',), (5, 1))

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy": two parameters in a window.
    """

    parameters: tuple[Place, ...] = field(converter=_places)

    @classmethod
    def sample(cls, layout: Layout, per_layer: int, seed: int = 0) -> Watch:
        """Watch some parameters of every layer, drawn at random without repetition.

        Args:
            layout: the leaves.
            per_layer: how many; all of a layer that has fewer.
            seed: of the draw.
        """
        rng = np.random.default_rng(seed)
        places: list[Place] = []
        for layer in layout.labels("layer"):
            leaves = [leaf for leaf in layout.leaves if leaf.layer == layer]
            begins = np.cumsum([0, *(leaf.size for leaf in leaves)])
            chosen = rng.choice(begins[-1], min(per_layer, begins[-1]), replace=False)
            for i in sorted(chosen.tolist()):
                k = int(np.searchsorted(begins, i, side="right")) - 1
                index = np.unravel_index(i - begins[k], leaves[k].shape)
                places.append((leaves[k].name, tuple(map(int, index))))
        return cls(places)

    @classmethod
    def extremes(cls, run: Run, measure: str, per_layer: int = 1) -> Watch:
        """Watch those of every layer that helped most and hurt most in an earlier run.

        Args:
            run: of the same network, with `Totals`.
            measure: its name.
            per_layer: how many from each end.
        """
        total = run.total(measure)
        places: list[Place] = []
        for layer in run.layout.labels("layer"):
            every = _parameters(run.layout, layer)
            ordered = sorted(every, key=lambda place: float(total[place[0]][place[1]]))
            places += dict.fromkeys([*ordered[:per_layer], *ordered[-per_layer:]])
        return cls(places)

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add three numbers a parameter.

        Raises:
            LeafError: there is no such leaf, or no such place in it.
        """
        for place in self.parameters:
            _check(layout, place)
        labels = tuple(f"{name}{list(index) if index else ''}" for name, index in self.parameters)
        return tuple(
            Declared(f"watched_{what}", ("watched",), "float64", labels, sums=what == "allocation")
            for what in ("weight", "gradient", "allocation")
        )

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Read the chosen places."""
        shapes = {leaf.name: leaf.shape for leaf in layout.leaves}
        places = {name: _flat(group, shapes[name]) for name, group in self._by_leaf.items()}
        shown = {"weight": view.params, "gradient": view.gradient, "allocation": view.allocation}
        return {
            f"watched_{what}": ops.concat([ops.take(leaves[k], at) for k, at in places.items()])
            for what, leaves in shown.items()
        }, {}

    @cached_property
    def _by_leaf(self) -> dict[str, np.ndarray]:
        """Return the indices into every leaf, shape (places, axes)."""
        groups: dict[str, list[tuple[int, ...]]] = {}
        for name, index in self.parameters:
            groups.setdefault(name, []).append(index)
        return {name: np.array(group, np.int64) for name, group in groups.items()}


@frozen
class WatchSample:
    """Watch some parameters of every layer, drawn from whatever layout the run turns out to have.

    `Watch.sample` for those who do not know the layout yet: the commands, which leave the names
    of the leaves to the backend.

    Args:
        per_layer: how many; all of a layer that has fewer.
        seed: of the draw.

    Example:
        >>> from lca_core import WatchSample
        >>> from lca_core.reference import demo_run
        >>> demo_run(steps=5, observers=[WatchSample(2)]).watched("train").weight.shape
        (5, 4)
    """

    per_layer: int
    seed: int = 0

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add three numbers a parameter."""
        return _sampled(layout, self).declare(layout)

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Read the drawn places."""
        return _sampled(layout, self).update(ops, layout, view, state)


@lru_cache(maxsize=8)
def _sampled(layout: Layout, sample: WatchSample) -> Watch:
    return Watch.sample(layout, sample.per_layer, sample.seed)


def _flat(group: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return places in C order; a scalar's only one is 0."""
    if not shape:
        return np.zeros(len(group), np.int64)
    return np.asarray(np.ravel_multi_index(tuple(group.T), shape), np.int64)


def _parameters(layout: Layout, layer: str) -> list[Place]:
    """Return every parameter of a layer."""
    leaves = (leaf for leaf in layout.leaves if leaf.layer == layer)
    return [(leaf.name, index) for leaf in leaves for index in np.ndindex(leaf.shape)]


def _check(layout: Layout, place: Place) -> None:
    name, index = place
    shapes = {leaf.name: leaf.shape for leaf in layout.leaves}
    if name not in shapes:
        msg = f"Watch: there is no leaf '{name}'; there are {list(shapes)}."
        raise LeafError(msg)
    shape = shapes[name]
    inside = len(index) == len(shape) and all(0 <= i < n for i, n in zip(index, shape, strict=True))
    if not inside:
        msg = (
            f"Watch: leaf '{name}' has shape {shape}, there is no parameter {list(index)} in it. "
            f"Give {len(shape)} indices from 0."
        )
        raise LeafError(msg)
