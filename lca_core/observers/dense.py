"""Everything, step by step: for films, and for questions that nobody thought of before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from lca_core.errors import LeafError
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lca_core.layout import Layout, Leaf
    from lca_core.typing import Array, ArrayOps, ObserverState, Params, StepView

SERIES = ("allocation", "weight", "gradient")


def _names(values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


@frozen
class Dense:
    """Every parameter's allocation at every step, in float32, compressed in the run file.

    Steps x parameters x measures: 880 steps of 84,060 parameters take 300 MB before compression.
    Up to `chunk` steps of it wait on the device before they are written; pass `path=`, and a
    smaller `chunk` where memory is short. Read it with `Run.dense`.

    Args:
        leaves: names of those to keep; all by default.
        of: which of "allocation", "weight" and "gradient" (both at the step's end).

    Raises:
        LeafError: there is no such series.

    Example:
        >>> from lca_core import Dense
        >>> from lca_core.reference import demo_run
        >>> run = demo_run(steps=5, observers=[Dense(["fc1.weight"])])
        >>> series = run.dense("train", "fc1.weight")
        >>> series.shape, series[3].shape
        ((5, 8, 4), (8, 4))

    Source: LCA paper (arXiv:1909.01440): the videos of all parameters.
    """

    leaves: tuple[str, ...] | None = field(default=None, converter=_names)
    of: tuple[str, ...] = field(default=("allocation",), converter=_names)

    def __attrs_post_init__(self) -> None:
        strange = [name for name in self.of if name not in SERIES]
        if strange:
            msg = f"Dense keeps {list(SERIES)}, got of={strange}."
            raise LeafError(msg)

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add an array a leaf and series.

        Raises:
            LeafError: there is no such leaf.
        """
        return tuple(
            Declared(
                f"dense_{of}_{i}",
                tuple(f"leaf{i}_axis{axis}" for axis in range(len(leaf.shape))),
                "float32",
                sizes=leaf.shape,
                leaf=leaf.name,
                sums=of == "allocation",
            )
            for i, leaf in self._chosen(layout)
            for of in self.of
        )

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Hand over the leaves as they are."""
        shown = {"allocation": view.allocation, "weight": view.params, "gradient": view.gradient}
        return {
            f"dense_{of}_{i}": shown[of][leaf.name]
            for i, leaf in self._chosen(layout)
            for of in self.of
        }, {}

    def _chosen(self, layout: Layout) -> list[tuple[int, Leaf]]:
        missing = [name for name in self.leaves or () if name not in layout.names]
        if missing:
            msg = f"Dense: there are no leaves {missing}; there are {list(layout.names)}."
            raise LeafError(msg)
        return [
            (i, leaf)
            for i, leaf in enumerate(layout.leaves)
            if self.leaves is None or leaf.name in self.leaves
        ]
