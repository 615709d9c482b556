"""What a training from a spec measures: all examples, or samples of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from lca_core.errors import UnsupportedError
from lca_core.partition import Partition
from lca_core.probes import FixedProbe, Redrawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.datasets import Dataset
    from lca_core.training import TrainingSpec


@frozen
class Sampling:
    """A setting of trainings: what stands in the place of the full data; seeded by the training.

    Args:
        probe: examples of each measure, drawn once; a measure that has no more keeps them all.
            None for all.
        redrawn: fresh examples of "train" at every step; None for no such thing.
        stratified: whether every label is drawn in proportion to its share.
    """

    probe: int | None = None
    redrawn: int | None = None
    stratified: bool = False

    def __bool__(self) -> bool:
        """Return whether anything is sampled."""
        return bool(self.probe or self.redrawn)

    def seen(self, measure: str, examples: int) -> int:
        """Return how many of a measure's examples are looked at at once."""
        redrawn = self.redrawn if measure == "train" else None
        return min(redrawn or self.probe or examples, examples)

    def of(self, measure: str, data: Any, labels: Any, seed: int) -> Any:
        """Return what `track` takes as the data of a measure.

        Args:
            measure: its name.
            data: all of it.
            labels: of the examples, shape (n,).
            seed: of the draws.
        """
        by = labels if self.stratified else None
        if self.redrawn and measure == "train":
            return Redrawn(data, self.redrawn, seed=seed, by=by)
        if self.probe and self.probe < len(labels):
            return FixedProbe(data, self.probe, seed=seed, by=by)
        return data


def yardsticks(
    data: Mapping[str, Any],
    dataset: Dataset,
    spec: TrainingSpec,
    *,
    by_class: bool,
    sampling: Sampling | None,
) -> dict[str, Any]:
    """Return measure -> what `track` takes as its data.

    Args:
        data: "train" and "val", as the adapter takes them.
        dataset: the same, for their labels.
        spec: the training, for its seed.
        by_class: whether to make a measure of every class of "train" too.
        sampling: what stands in the place of the full data; None for nothing.

    Raises:
        UnsupportedError: classes apart and samples are both asked for.

    Example:
        >>> from lca_core.datasets import digits
        >>> from lca_core.sampling import Sampling, yardsticks
        >>> from lca_core.training import TrainingSpec
        >>> few, splits = Sampling(probe=500), {"train": digits().train, "val": digits().val}
        >>> asked = {"by_class": False, "sampling": few}
        >>> found = yardsticks(splits, digits(), TrainingSpec(), **asked)
        >>> {name: type(one).__name__ for name, one in found.items()}
        {'train': 'FixedProbe', 'val': 'Split'}
    """
    splits = {"train": dataset.train, "val": dataset.val}
    if by_class and sampling:
        msg = (
            f"Classes apart are measured over all examples, got by_class=True and {sampling}. "
            "Leave out one of them."
        )
        raise UnsupportedError(msg)
    if by_class:
        return {**data, "train": Partition(data["train"], by=dataset.train.labels)}
    chosen = sampling or Sampling()
    return {
        name: chosen.of(name, whole, splits[name].labels, spec.seed) for name, whole in data.items()
    }
