"""What share of the parameters helps: step by step, and over the run, parameter by parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen
from numpy.lib.stride_tricks import sliding_window_view

from lca_core.numbers import whole

if TYPE_CHECKING:
    from lca_core.run import Run


@frozen
class HelpingOverTime:
    r"""The share of parameters that help, over the steps; each array has shape (T,).

    Args:
        of_moving: helped / (helped + hurt); NaN where nothing moved.
        of_all: helped / all parameters; NaN where a step was not looked at, or was not finite.
        z: standard deviations of `of_moving` from one half, under the null that every moving
            parameter helps or hurts with equal probability, independently of the others.
            Parameters are not independent, so |z| says how far from a coin, not how surely.
    """

    of_moving: np.ndarray
    of_all: np.ndarray
    z: np.ndarray


@frozen
class HeroesAndVillains:
    """On what share of the steps single parameters helped; the article's range is 48 to 53 %.

    Args:
        share: helped / (helped + hurt) of every parameter, shape (parameters,), in the layout's
            order; NaN where it never moved.
        steps: helped + hurt, shape (parameters,).
        spread: standard deviation of `share` that coins alone would give.
    """

    share: np.ndarray
    steps: np.ndarray
    spread: float

    def between(self, percentage: float = 95.0) -> tuple[float, float]:
        """Return the range that this percentage of the moving parameters lies in, at least.

        Both ends are shares that occur; NaN if nothing moved.
        """
        beyond, moving = (100 - percentage) / 2, self.share[self.steps > 0]
        if not moving.size:
            return float("nan"), float("nan")
        low = np.percentile(moving, beyond, method="lower")
        return float(low), float(np.percentile(moving, 100 - beyond, method="higher"))


def helping_over_time(run: Run, measure: str) -> HelpingOverTime:
    r"""Return the share of helping parameters at every step, against a coin.

    .. math:: z_t = \frac{h_t - v_t}{\sqrt{h_t + v_t}}

    with h parameters helping and v hurting.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Counts()` was left out.

    Example:
        >>> from lca_core.analyses import helping_over_time
        >>> from lca_core.reference import demo_run
        >>> bool((helping_over_time(demo_run(), "train").of_moving > 0.5).all())
        True

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy".
    """
    counts = run.helping(measure, by="leaf")
    helped, hurt = counts.helped.sum(axis=1), counts.hurt.sum(axis=1)
    return HelpingOverTime(
        of_moving=_ratio(helped, helped + hurt),
        of_all=np.where(run.seen(measure), helped / max(run.layout.parameters, 1), np.nan),
        z=_ratio(helped - hurt, np.sqrt(helped + hurt)),
    )


def heroes_and_villains(run: Run, measure: str) -> HeroesAndVillains:
    r"""Return on what share of the steps each parameter helped, and what coins would give.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Tallies()` was not asked for.

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy".
    """
    tallies = run.tallies(measure).values()
    none = np.zeros(0, np.int64)
    helped = np.concatenate([none, *(one.helped.ravel() for one in tallies)])
    steps = helped + np.concatenate([none, *(one.hurt.ravel() for one in tallies)])
    moved = steps[steps > 0]
    # The variance of a mixture of binomials, each of its own number of steps.
    spread = float(np.sqrt((0.25 / moved).mean())) if moved.size else float("nan")
    return HeroesAndVillains(_ratio(helped, steps), steps, spread)


def smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """Return a centred moving average over the last axis; NaN and what lies outside are left out.

    Args:
        values: shape (..., T).
        width: number of steps, odd to be centred.

    Raises:
        RuleError: it is no whole number from 1 up.

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses import smoothed
        >>> smoothed(np.array([1.0, np.nan, 3.0, 5.0]), 3).tolist()
        [1.0, 2.0, 4.0, 4.0]
    """
    width, known = whole("width", width, 1), np.isfinite(values)

    def running(array: np.ndarray) -> np.ndarray:
        padding = [(0, 0)] * (array.ndim - 1) + [((width - 1) // 2, width // 2 + 1)]
        windows = sliding_window_view(np.pad(array, padding), width, axis=-1)
        return np.asarray(windows[..., : array.shape[-1], :].sum(axis=-1))

    return _ratio(running(np.where(known, values, 0.0)), running(known.astype(float)))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; NaN where there is nothing to divide by."""
    ratio = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
