"""Pictures of a run, for papers and screens; needs matplotlib, changes nothing global."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.errors import MissingExtraError
from lca_core.segment import Status
from lca_core.summary import books

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.run import Run

HURT, ZERO, HELP = (0.9, 0.25, 0.25), (1.0, 1.0, 1.0), (0.3, 0.75, 0.3)
"""The authors' colours: red, white, green."""

_INK, _GREY, _PALE = "0.1", "0.6", "0.88"
_BLUE, _DARK_GREEN = (0.62, 0.77, 0.93), (0.0, 0.35, 0.1)
_WIDTH, _TALLEST, _DPI = 5.0, 9.0, 200
_TEXT, _SMALL = 9.0, 8.0
_MOST_BARS_LABELLED, _LONGEST_LABEL, _TITLE_WIDTH = 50, 30, 70


def loss_and_allocation(run: Run, measure: str) -> Figure:
    """Draw the true loss against L_0 plus everything allocated since, and the gap of every step.

    Args:
        run: a finished run.
        measure: its name.
    """
    figure = _figure(4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.8))
    marker = "o" if run.steps < 2 else ""
    upper.plot(run.iteration, _finite(run.loss(measure)), label="true loss",
               color=_BLUE, lw=5, marker=marker, ms=9, solid_capstyle="round")  # fmt: skip
    upper.plot(run.iteration, _booked(run, measure), label="$L_0$ + everything allocated since",
               color=_INK, lw=1.1, ls=(0, (4, 2)), marker=marker, ms=3)  # fmt: skip
    upper.set_ylabel("loss")
    _draw_gaps(lower, run, measure)
    _count_steps(lower)
    for axes in (upper, lower):
        _shade_nonfinite(axes, run, measure)
        _tidy(axes)
    upper.margins(x=0.02)
    handles = [*upper.get_lines(), *lower.get_lines(), *upper.collections]
    _legend(figure, handles, columns=2)
    found = books(run, measure)
    _title(figure, f"{measure}: {found.change}; {found.sums}", found.closing)
    return figure


def allocation_by_layer(run: Run, measure: str) -> Figure:
    """Draw every layer's allocation summed over the run as a bar, with its ± where known.

    Args:
        run: a finished run.
        measure: its name.
    """
    labels, values = run.allocation(measure, "layer")
    total = values[run.finite(measure)].sum(axis=0)
    error = run.error(measure, "layer").values
    known, place = np.isfinite(error) & (error > 0.0), np.arange(len(labels))
    figure = _figure(min(1.4 + 0.24 * max(len(labels), 3), _TALLEST))
    axes = figure.add_subplot()
    axes.barh(place, total, height=0.72, color=[HELP if lca < 0 else HURT for lca in total])
    axes.errorbar(total[known], place[known], xerr=error[known], fmt="none",
                  ecolor=_INK, elinewidth=0.9, capsize=2)  # fmt: skip
    axes.axvline(0.0, color=_INK, lw=0.8)
    axes.set_ylim(max(len(labels), 1) - 0.4, -0.6)
    _label_bars(axes, labels, run.layout.group_sizes("layer"))
    found = books(run, measure)
    figure.supxlabel(
        f"allocation summed over {found.span} (loss units)\n"
        f"negative helped, positive hurt{'; whiskers: ± error' * bool(known.any())}",
        fontsize=_TEXT,
    )
    _title(figure, f"{measure}: {found.change}; {found.sums}")
    return figure


def helping_over_time(run: Run, measure: str) -> Figure:
    """Draw the share of all parameters that helped, stood still and hurt at every step.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Counts()` was left out.
    """
    figure = _figure(3.4)
    axes = figure.add_subplot()
    _draw_shares(axes, run, measure)
    _draw_helping_of_moved(axes, run, measure)
    axes.axhline(50.0, color=_INK, lw=1, ls=":")
    axes.set_ylim(0.0, 100.0)
    axes.margins(x=0.0)
    axes.set_ylabel("parameters (%)")
    _count_steps(axes)
    _shade_nonfinite(axes, run, measure)
    _tidy(axes)
    loss = axes.twinx()
    loss.plot(run.iteration, _finite(run.loss(measure)), color=_INK, lw=1.2, label="loss",
              marker="o" if run.steps < 2 else "", ms=3)  # fmt: skip
    loss.set_ylabel("loss")
    _tidy(loss)
    loss.spines["right"].set_visible(True)
    helped, zero, hurt, *rest = axes.collections
    _legend(figure, [helped, axes.get_lines()[0], zero, *loss.get_lines(), hurt, *rest], columns=3)
    found = books(run, measure)
    _title(figure, f"{measure}: {found.change} in {found.span}")
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure; the end of the name says the format, PNG if there is none.

    Args:
        figure: any.
        path: "loss.pdf", "loss.svg", "loss.png", ...

    Raises:
        ValueError: matplotlib does not write that format.
    """
    figure.savefig(path, format=Path(path).suffix.lstrip(".") or "png", dpi=_DPI)


FIGURES: dict[str, Callable[[Run, str], Figure]] = {
    "loss": loss_and_allocation,
    "layers": allocation_by_layer,
    "helping": helping_over_time,
}
"""name -> function of a run and the name of a measure."""


def _figure(height: float) -> Figure:
    """Make a figure that belongs to nobody: no window, no global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Figures", "cli") from error
    return Figure(figsize=(_WIDTH, height), layout="constrained")


def _finite(values: np.ndarray) -> np.ndarray:
    """Turn infinities into gaps of the line."""
    return np.where(np.isfinite(values), values, np.nan)


def _booked(run: Run, measure: str) -> np.ndarray:
    """Return L_0 + Σ (allocations + buffers) at every iterate; a gap at steps not finite."""
    finite = run.finite(measure)
    caused = run.allocation(measure, "leaf").values.sum(axis=1) + run.buffers(measure)
    start = run.loss(measure)[:1]
    since = start + np.cumsum(np.where(finite, caused, 0.0))
    return _finite(np.concatenate([start, np.where(finite, since, np.nan)]))


def _draw_gaps(axes: Axes, run: Run, measure: str) -> None:
    """Draw |gap| of every step, red where it did not close, and the noise floor."""
    step, gap = run.iteration[1:], np.abs(run.gap(measure))
    drawn = run.finite(measure) & (gap > 0.0)
    closed = run.status(measure) == Status.OK
    noise = _finite(run.noise(measure))
    axes.plot(step, noise, color=_GREY, lw=0.8, marker="_" if run.steps < 2 else "",
              label="noise floor")  # fmt: skip
    axes.plot(step[drawn & closed], gap[drawn & closed], ".", color=_INK, ms=3, mew=0,
              label="gap of a closed step")  # fmt: skip
    if (drawn & ~closed).any():
        axes.plot(step[drawn & ~closed], gap[drawn & ~closed], "D", color=HURT, ms=3, mew=0,
                  label="gap of an open step")  # fmt: skip
    axes.set_ylabel("|gap| (loss units)")
    if drawn.any() or (noise > 0.0).any():  # a logarithmic axis needs something to show
        axes.set_yscale("log")


def _draw_shares(axes: Axes, run: Run, measure: str) -> None:
    """Stack helped, unmoved and hurt, in % of all parameters, one stair a step."""
    counts = run.helping(measure, "leaf")
    finite = run.finite(measure)
    below = np.zeros(run.steps)
    for number, colour, label in (
        (counts.helped, HELP, "helped"),
        (counts.unmoved, ZERO, "zero"),
        (counts.hurt, HURT, "hurt"),
    ):
        above = below + 100.0 * number.sum(axis=1) / max(run.layout.parameters, 1)
        _fill_steps(axes, run, finite, below, above, color=colour, label=label)
        below = above


def _draw_helping_of_moved(axes: Axes, run: Run, measure: str) -> None:
    """Draw helped / (helped + hurt) in %, over a window of about a thirtieth of the run."""
    counts = run.helping(measure, "leaf")
    helped, moved = counts.helped.sum(axis=1), (counts.helped + counts.hurt).sum(axis=1)
    window = 1 + 2 * (run.steps // 60)
    if run.steps:
        helped, moved = (np.convolve(n, np.ones(window), "same") for n in (helped, moved))
    nan = np.full(run.steps, np.nan)
    share = 100.0 * np.divide(helped, moved, out=nan, where=moved > 0)
    over = f", over {window} steps" if window > 1 else ""
    middle = (run.iteration[1:] + run.iteration[:-1]) / 2
    axes.plot(middle, share, color=_DARK_GREEN, lw=1.4, marker="o" if run.steps < 2 else "", ms=3,
              label=f"helped / (helped + hurt){over}")  # fmt: skip


def _shade_nonfinite(axes: Axes, run: Run, measure: str) -> None:
    """Shade the steps that allocated nothing because a value was not finite."""
    lost = ~run.finite(measure)
    if lost.any():
        _fill_steps(axes, run, lost, np.zeros(run.steps), np.ones(run.steps), color=_PALE,
                    zorder=0, transform=axes.get_xaxis_transform(), label="not finite")  # fmt: skip


def _fill_steps(
    axes: Axes, run: Run, where: np.ndarray, below: np.ndarray, above: np.ndarray, **style: Any
) -> None:
    """Fill one stair a step, as wide as from its first iterate to its last."""
    ends = np.repeat(run.iteration, 2)[1:-1]
    below, above, where = (np.repeat(values, 2) for values in (below, above, where))
    axes.fill_between(ends, below, above, where=where, lw=0.0, **style)


def _label_bars(axes: Axes, labels: tuple[str, ...], sizes: np.ndarray) -> None:
    """Name the layers on the left, count their parameters on the right."""
    every = max(-(-len(labels) // _MOST_BARS_LABELLED), 1)
    place = np.arange(len(labels))[::every]
    axes.set_yticks(place, [_short(label) for label in labels[::every]], parse_math=False)
    right = axes.secondary_yaxis("right")
    right.set_yticks(place, [f"{size:,}" for size in sizes[::every]])
    right.set_ylabel("parameters", fontsize=_TEXT)
    for side in (axes, right):
        _tidy(side)
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)


def _short(label: str) -> str:
    """Keep the end of a long name: it tells layers apart."""
    return label if len(label) <= _LONGEST_LABEL else "…" + label[1 - _LONGEST_LABEL :]


def _count_steps(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(
        MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )


def _tidy(axes: Any) -> None:
    """Give an axis small ticks and no frame beyond its axes."""
    axes.tick_params(labelsize=_SMALL)
    axes.xaxis.label.set_size(_TEXT)
    axes.yaxis.label.set_size(_TEXT)
    axes.xaxis.get_offset_text().set_size(_SMALL)
    axes.yaxis.get_offset_text().set_size(_SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, handles: list[Any], columns: int) -> None:
    """Put the legend below, where it hides nothing; outline white patches."""
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns,
                           frameon=False, fontsize=_SMALL, markerscale=1.5)  # fmt: skip
    for patch in legend.get_patches():
        patch.set(edgecolor=_GREY, linewidth=0.5)


def _title(figure: Figure, *lines: str) -> None:
    text = "\n".join(fill(line, _TITLE_WIDTH) for line in lines)
    figure.suptitle(text, x=0.01, ha="left", fontsize=_TEXT, parse_math=False)
