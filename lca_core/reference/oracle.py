"""The mean cross-entropy of a network over a data set, and its gradient, in float64."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.chunks import even_cuts
from lca_core.errors import DataError, NetworkError, RuleError
from lca_core.reference.network import forward
from lca_core.reference.networks import cross_entropy
from lca_core.typing import Evaluation, Params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.adapters import Mode
    from lca_core.networks import NetworkSpec


_CHUNKS: Mapping[Mode, int] = {"eval": 100, "batch-stats": 2_500}
"""Mode -> examples at once. A convolution's windows take size² times its input, so 100 where the
chunk is free to choose; 2,500 are the paper's."""


def _float64(values: Any) -> np.ndarray:
    return np.asarray(values, np.float64)


@frozen
class NetworkOracle:
    r"""L(θ) of a `NetworkSpec`.

    .. math:: L(\theta) = \frac1N \sum_n -\log \mathrm{softmax}(f_\theta(x_n))_{y_n}

    Args:
        spec: f, whose last layer gives one logit a class.
        inputs: x, shape (n, *spec.inputs).
        labels: y, shape (n,), integer classes.
        mode: "eval" for batch norm with moving averages (the buffers), "batch-stats" for every
            chunk's own statistics.
        batch_size: examples evaluated at once, cut at `even_cuts(n, batch_size)`; None for
            100, in "batch-stats" mode 2,500 (it is part of that loss).
        eps: machine epsilon.

    Raises:
        DataError: there are no examples, they do not fit the network, or a label is no class.
        NetworkError: the network does not end in logits.
        RuleError: there is no such mode.

    Example:
        >>> import numpy as np
        >>> from lca_core.networks import fc
        >>> from lca_core.reference import NetworkOracle
        >>> spec = fc((2, 2, 1), classes=3)
        >>> oracle = NetworkOracle(spec, np.zeros((5, 2, 2, 1)), np.array([0, 1, 2, 0, 1]))
        >>> round(float(oracle(spec.initial(0), {}).loss), 6)  # log 3: nothing tells them apart
        1.098612
    """

    spec: NetworkSpec
    inputs: np.ndarray = field(converter=_float64, repr=False)
    labels: np.ndarray = field(converter=np.asarray, repr=False)
    mode: Mode = "eval"
    batch_size: int | None = None
    eps: float = float(np.finfo(np.float64).eps)

    def __attrs_post_init__(self) -> None:
        if len(self.spec.output) != 1:
            msg = (
                f"'{self.spec.name}' ends in shape {self.spec.output}, not in one logit a class: "
                "end it with Dense(classes) or GlobalAveragePool()."
            )
            raise NetworkError(msg)
        if self.mode not in _CHUNKS:
            msg = f"mode must be one of {list(_CHUNKS)}, got {self.mode!r}."
            raise RuleError(msg)
        (classes,) = self.spec.output
        _check(self.inputs, self.labels, self.spec.inputs, classes)

    @property
    def chunk(self) -> int:
        """Examples evaluated at once."""
        return self.batch_size or _CHUNKS[self.mode]

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient.

        Args:
            params: canonical name -> array.
            buffers: the same of the moving averages; not read in "batch-stats" mode.

        Raises:
            LeafError: some are missing.
        """
        weights = {name: _float64(leaf) for name, leaf in {**params, **buffers}.items()}
        gradient = {name: np.zeros(np.shape(leaf)) for name, leaf in params.items()}
        loss, n = np.float64(0.0), len(self.labels)
        for begin, end in itertools.pairwise(even_cuts(n, self.chunk)):
            through = forward(self.spec, weights, self.inputs[begin:end], mode=self.mode)
            losses, upstream = cross_entropy(through.output, self.labels[begin:end])
            loss += losses.sum() / n
            for name, share in through.backward(upstream / n)[1].items():
                gradient[name] += share
        return Evaluation(np.asarray(loss), gradient)


def _check(inputs: np.ndarray, labels: np.ndarray, shape: tuple[int, ...], classes: int) -> None:
    if inputs.shape[1:] != shape or labels.shape != inputs.shape[:1] or not len(labels):
        msg = (
            f"The network takes inputs of shape (n, {str(shape)[1:].rstrip(',)')}) and labels "
            f"of shape (n,), n from 1 up; got {inputs.shape} and {labels.shape}."
        )
        raise DataError(msg)
    if not 0 <= labels.min() <= labels.max() < classes:
        msg = (
            f"Labels are the classes 0 to {classes - 1} of the network, "
            f"got {labels.min()} to {labels.max()}."
        )
        raise DataError(msg)
