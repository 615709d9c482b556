"""The idea in one picture: two parameters move, one gets the credit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.figures.style import TEXT, count_steps, new_figure, note, tidy, title
from lca_core.figures.theme import AUTHORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run

STEPS, RATE, MOMENTUM, PUSH = 14, 0.18, 0.7, 0.22
START = (-1.5, 1.6)


def toy_run() -> Run:
    r"""Track descent with momentum in a gutter along θ_1, which a steady push moves on.

    .. math:: L(\theta) = \tfrac12 \theta_2^2

    Example:
        >>> from lca_core.figures.toy import toy_run
        >>> run = toy_run()
        >>> moved = run.watched("loss").weight[-1] - run.watched("loss").weight[0]
        >>> bool((abs(moved) > 1).all())
        True
        >>> labels, values = run.allocation("loss", by="leaf")
        >>> labels, values.sum(axis=0).round(2).tolist()
        (('θ1', 'θ2'), [0.0, -1.27])
    """
    from lca_core.observers import Watch
    from lca_core.reference import Polynomial, track

    problem = Polynomial({"θ1": np.array(0.0), "θ2": np.array(0.5)}, power=2)
    theta = {name: np.array(value) for name, value in zip(("θ1", "θ2"), START, strict=True)}
    watch = Watch([("θ1", ()), ("θ2", ())])
    with track({"loss": problem}, theta, problem.layout, observers=[watch]) as tracker:
        speed = np.zeros(())
        for _ in range(STEPS):
            speed = MOMENTUM * speed - RATE * np.asarray(problem(theta, {}).gradient["θ2"])
            theta = {"θ1": theta["θ1"] + PUSH, "θ2": theta["θ2"] + speed}
            tracker.step(theta)
    return tracker.run


def toy(*, theme: Theme = AUTHORS) -> Figure:
    """Draw a loss surface with a path on it, and what each of its two parameters did.

    Args:
        theme: how it looks.

    Source: LCA paper (arXiv:1909.01440), figure 1, on a surface of our own.
    """
    run = toy_run()
    watched, loss = run.watched("loss"), run.loss("loss")
    path = np.concatenate([[START], watched.weight])
    figure = new_figure(5.6, theme)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    upper, lower = parts
    for part in parts:
        part.set_facecolor(theme.paper)
    _draw_surface(upper.add_subplot(projection="3d"), path, loss, theme)
    panels = lower.subplots(3, 2, sharex=True, sharey="row")
    for i, column in enumerate(panels.T):
        _draw_parameter(column, run, path[:, i], i, theme)
    for axes, label in zip(panels[:, 0], ("value", "gradient", "LCA"), strict=True):
        axes.set_ylabel(label)
    lower.align_ylabels(panels[:, 0])
    sums = watched.allocation.sum(axis=0)
    title(
        figure,
        theme,
        "Two parameters move. θ₁ drifts along the gutter, where the loss is flat: no credit, "
        f"LCA {sums[0]:.2f}. θ₂ rolls down, and hurts where it climbs the other side: LCA "
        f"{sums[1]:.2f}, all of the loss change ({loss[-1] - loss[0]:.2f}).",
    )
    return figure


def _draw_surface(axes: Any, path: np.ndarray, loss: np.ndarray, theme: Theme) -> None:
    """Draw the gutter as a net, and on it the path from start to end."""
    x, y = np.meshgrid(np.linspace(-1.8, 1.8, 25), np.linspace(-1.8, 1.8, 25))
    axes.plot_surface(x, y, 0.5 * y**2, color=theme.truth, alpha=0.35, lw=0, shade=False,
                      clip_on=False)  # fmt: skip
    axes.plot_wireframe(x, y, 0.5 * y**2, color=theme.grey, lw=0.4, rstride=3, cstride=3,
                        clip_on=False)  # fmt: skip
    line = (path[:, 0], path[:, 1], loss + 0.02)
    axes.plot(*line, color=theme.ink, lw=1.6, marker="o", ms=3, zorder=10)
    for axis, name in ((axes.xaxis, "θ₁"), (axes.yaxis, "θ₂"), (axes.zaxis, "loss")):
        axis.set_pane_color((0, 0, 0, 0))
        axis.line.set_color(theme.ink)
        axis.set_label_text(name, fontsize=TEXT, color=theme.ink)
        axis.labelpad = -12
        axis.set_ticks([])
    axes.grid(visible=False)
    axes.patch.set_visible(False)
    axes.set_box_aspect((1.7, 1.2, 0.7), zoom=1.3)
    axes.view_init(28, -60)


def _draw_parameter(column: np.ndarray, run: Run, value: np.ndarray, i: int, theme: Theme) -> None:
    """Draw one parameter's value, gradient and LCA over the steps."""
    watched = run.watched("loss")
    steps, allocation = run.iteration[1:], watched.allocation[:, i]
    column[0].plot(run.iteration, value, color=theme.weight, lw=1.4)
    column[1].plot(steps, watched.gradient[:, i], color=theme.gradient, lw=1.4)
    column[2].bar(steps, allocation, color=theme.signed(allocation))
    for axes in column:
        axes.axhline(0, color=theme.ink, lw=0.6, zorder=0)
        tidy(axes, theme)
    count_steps(column[-1])
    tidy(column[-1], theme)
    note(column[0], f"parameter θ{'₁₂'[i]}", theme)
