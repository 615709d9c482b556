"""How far the luck of samples may have moved allocations: of a step, of a sum over some or all."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from attrs import frozen

from lca_core.uncertainty import freedom, of_neighbours, roots_of_sums, student


@frozen
class Drawn:
    """Every step was looked at, through a sample of its own.

    Args:
        errors: one standard error of every step, shape (T, groups), loss units.
        finite: the steps that are in sums, shape (T,).
        degrees: of freedom of every one of the errors.
    """

    errors: np.ndarray
    finite: np.ndarray
    degrees: int

    def within(self, steps: slice) -> np.ndarray:
        """Return the 95 % of the sums over some steps, shape (groups,)."""
        return np.asarray(self._half(self.errors[steps][self.finite[steps]])[-1])

    @property
    def since_the_start(self) -> np.ndarray:
        """The 95 % of the sums over the first t steps, for every t; shape (T + 1, groups)."""
        return self._half(np.where(self.finite[:, None], self.errors, 0.0))

    def _half(self, errors: np.ndarray) -> np.ndarray:
        return np.asarray(student(freedom(errors, self.degrees)) * roots_of_sums(errors))


@frozen(slots=False)
class Thinned:
    """One step of every block was looked at, drawn at random, and counts for all of the block.

    Args:
        values: allocations, shape (T, groups), loss units; zeros where nobody looked.
        looked: numbers of the steps that were looked at, ascending.
        every: steps of a block, k.
    """

    values: np.ndarray
    looked: np.ndarray
    every: int

    @cached_property
    def errors(self) -> np.ndarray:
        """One standard error of every step, see `between_steps`; shape (T, groups)."""
        return between_steps(self.values, self.looked)

    def within(self, steps: slice) -> np.ndarray:
        """Return the 95 % of the sums over some steps, shape (groups,); NaN if none was seen."""
        chosen = np.arange(len(self.values))[steps]
        seen = np.isin(self.looked, chosen)
        if not seen.any():
            return np.full(self.values.shape[1:], np.nan)
        blocks = np.arange(-(-len(self.values) // self.every))
        inside = np.bincount(chosen // self.every, minlength=len(blocks))
        cut = roots_of_sums(self._cut(blocks, inside))[-1]
        return np.asarray(np.hypot(self._of_looks(self.errors[self.looked[seen]])[-1], cut))

    @property
    def since_the_start(self) -> np.ndarray:
        """The 95 % of the sums over the first t steps, for every t; shape (T + 1, groups)."""
        ends = np.arange(len(self.values) + 1)
        if not self.looked.size:
            return np.full((len(ends), *self.values.shape[1:]), np.nan)
        cut = self._cut(ends // self.every, ends % self.every)
        return np.asarray(np.hypot(self._of_looks(self.errors), cut))

    def _of_looks(self, errors: np.ndarray) -> np.ndarray:
        # The first look has no difference of its own, but that of the second.
        own = np.cumsum(errors.any(axis=1)) > 1
        apart = np.where(own[:, None], errors, 0.0)
        return np.asarray(of_neighbours(apart) * roots_of_sums(errors))

    def _cut(self, blocks: np.ndarray, inside: np.ndarray) -> np.ndarray:
        r"""Return the 95 % of blocks that have r of their k steps in the sum, (blocks, groups).

        .. math:: |a| \sqrt{r (k - r)}

        is one standard error: the look is in the sum with probability r / k, and then counts as k
        times a, the allocation of its step; of the last look so far where the block has none.
        """
        last = np.searchsorted(self.looked // self.every, blocks, side="right") - 1
        steady = np.abs(self.values[self.looked[np.maximum(last, 0)]]) / self.every
        sure = of_neighbours(self.errors[self.looked[1:]])[-1]
        return np.asarray(sure * np.sqrt(inside * (self.every - inside))[:, None] * steady)


def between_subsamples(allocated: np.ndarray, unseen: float) -> np.ndarray:
    r"""Return the standard error of every step's sums by the spread of its subsamples.

    .. math:: s_t^2 = \Big(1 - \frac nN\Big) \frac1{m(m-1)} \sum_{k=1}^m (A_t^k - A_t)^2

    Args:
        allocated: A_t^k, shape (T, m, groups), loss units.
        unseen: the share of the data outside of the sample, 1 - n/N.

    Returns:
        Shape (T, groups), loss units.

    Example:
        >>> import numpy as np
        >>> from lca_core.draws import between_subsamples
        >>> between_subsamples(np.array([[[1.0], [3.0]]]), unseen=1.0)
        array([[1.]])

    Source: Cochran, Sampling Techniques (1977), section 2.6.
    """
    m = allocated.shape[1]
    return np.asarray(allocated.std(axis=1, ddof=1) * np.sqrt(unseen / m))


def between_steps(allocated: np.ndarray, looked: np.ndarray) -> np.ndarray:
    r"""Return the standard error of sums of steps that each count for a block, by neighbours.

    .. math:: s_t^2 = \tfrac12 (A_t - A_s)^2

    of a step that was looked at and the one before it: the luck of the examples and of the step.

    Args:
        allocated: A_t, shape (T, groups), loss units; zeros where nobody looked.
        looked: numbers of the steps that were looked at, ascending.

    Returns:
        Shape (T, groups), loss units; zeros where nobody looked, NaN for one step alone, and for
        all where nobody looked at any.

    Example:
        >>> import numpy as np
        >>> from lca_core.draws import between_steps
        >>> between_steps(np.array([[2.0], [0.0], [4.0]]), np.array([0, 2])).round(2)
        array([[1.41],
               [0.  ],
               [1.41]])

    Source: Cochran, Sampling Techniques (1977), sections 8.11 and 11.2.
    """
    if not looked.size:
        return np.full_like(allocated, np.nan)
    errors = np.zeros_like(allocated)
    steps = np.diff(allocated[looked], axis=0) / np.sqrt(2.0)
    first = steps[:1] if len(steps) else np.full_like(allocated[:1], np.nan)
    errors[looked] = np.abs(np.concatenate([first, steps]))
    return errors
