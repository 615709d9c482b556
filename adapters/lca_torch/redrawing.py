"""The loss over the examples that a step draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from lca_core.errors import DataError
from lca_core.probes import check_redrawn
from lca_torch.sources import Sliced

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from lca_core import Evaluation, Params, Snapshot
    from lca_torch.losses import Weighted
    from lca_torch.oracle import TorchOracle


@frozen
class TorchSample:
    """`lca_core.typing.Sample` for tensors: all subsamples in one pass.

    Args:
        whole: the loss over all examples.
        parts: the data of every subsample.
        weight: that the sums over one of them are divided by; were it that of its own examples,
            its mean would not be unbiased.
    """

    whole: TorchOracle
    parts: tuple[Sliced, ...]
    weight: float

    def __call__(self, params: Params, buffers: Params) -> list[Evaluation]:
        """Return loss and gradient over every subsample."""
        with self.whole.measuring() as live:
            points = self.whole.points(params)
            sums = [self.whole.sums(points, params, self.weight) for _ in self.parts]
            into = sums[:1]

            def batches() -> Iterator[Any]:
                for one, part in zip(sums, self.parts, strict=True):
                    into[0] = one
                    yield from part.batches(self.whole.batch_size)

            def add(found: Weighted) -> None:
                into[0].add(found)

            self.whole.go_through(live, batches(), points, buffers, add)
            return [one.mean() for one in sums]


@frozen
class TorchPick:
    """`lca_core.redraws.Pick` for data that are at hand as a whole.

    Args:
        whole: the loss over all examples.
        source: its data.
        weight: of an average example.
    """

    whole: TorchOracle
    source: Sliced
    weight: float

    @classmethod
    def of(cls, whole: TorchOracle, point: Snapshot) -> Self:
        """Prepare to pick; one pass over all examples for their weight, without a gradient.

        Args:
            whole: the loss over all examples.
            point: where the model stands.

        Raises:
            DataError: the data are streamed.
            RuleError: the loss of a sample would not be the mean of its examples' losses.
        """
        check_redrawn(whole.mode)
        if not isinstance(whole.source, Sliced):
            msg = (
                "A redrawn probe picks other examples at every step, so the data must fit into "
                f"memory as one batch; these {whole.source.examples:,} examples are streamed, or "
                "come in batches that cannot be joined. Pass a part of them that fits, padded to "
                "one length, or a FixedProbe."
            )
            raise DataError(msg)
        return cls(whole, whole.source, whole.weight(point) / whole.source.examples)

    def __call__(self, places: np.ndarray) -> TorchSample:
        """Return the losses over the examples at these places, a row a subsample."""
        subsamples, size = places.shape
        sample = self.source.pick(places.ravel())
        cut = (sample.cut(k * size, (k + 1) * size) for k in range(subsamples))
        parts = tuple(Sliced(part, self.whole.device, size, 0, self.source.hand) for part in cut)
        return TorchSample(self.whole, parts, self.weight * size)
