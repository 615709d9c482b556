"""The article's first experiment, by class: trains it, and writes docs/results/mnist-fc.md.

    python docs/measure_mnist_fc.py --data-dir DIR      # about ten minutes on two cores

DIR holds MNIST as IDX files. FC on 55,000 examples (5,000 held out), SGD with momentum 0.9 and
learning rate 0.01, batches of 250, four epochs; every class a measure of its own. With `--run` a
run file that `lca run` wrote with these options is read instead.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import lca_core
from lca_core import analyses
from lca_core.cli.commands import lca
from lca_core.experiments.synchrony import NULLS
from lca_core.summary import closure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lca_core import Run

OPTIONS = [
    *("--network", "fc", "--data", "mnist", "--epochs", "4", "--batch-size", "250"),
    *("--by-class", "--observe", "all"),
]
RESULTS = Path(__file__).parent / "results" / "mnist-fc.md"


def main() -> None:
    """Train or read, then write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--run", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        began = time.monotonic()
        path = given.run or trained(given.data_dir, Path(out))
        minutes = None if given.run else (time.monotonic() - began) / 60
        RESULTS.write_text(page(lca_core.load(path), minutes), "utf-8")
    print(f"Wrote {RESULTS}.")


def trained(data_dir: Path | None, out: Path) -> Path:
    """Run `lca run`, and return its run file."""
    where = [] if data_dir is None else ["--data-dir", str(data_dir)]
    lca(["run", *OPTIONS, *where, "--out", str(out)], standalone_mode=False)
    return out / "run.zarr"


def page(run: Run, minutes: float | None) -> str:
    """Return the page."""
    took = "" if minutes is None else f" It took {minutes:.0f} minutes on two cores."
    command = f"lca run {' '.join(OPTIONS)} --data-dir DIR --out OUT"
    told = (
        "Written by `python docs/measure_mnist_fc.py --data-dir DIR`, which trains the article's "
        f"first experiment with\n\n    {command}\n\n{run.steps} steps, "
        f"{run.layout.parameters:,} parameters.{took} In loss units; negative helped, positive "
        "hurt."
    )
    parts = (layers(run), classes(run), noise(run), together(run), held_out(run))
    return "\n\n".join(["# FC on MNIST, by class", told, closure(run, "train"), *parts]) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def layers(run: Run) -> str:
    """Say what the layers did."""
    found = analyses.verdicts(run, "train")
    sizes = run.layout.group_sizes("layer")
    rows = [
        (name, f"{n:,}", f"{total:+.4f}", f"{error:.4f}", f"{total / n:+.2e}")
        for name, n, total, error in zip(found.labels, sizes, found.total, found.error, strict=True)
    ]
    return "## Layers\n\n" + table(["layer", "parameters", "LCA", "±", "a parameter"], rows)


def classes(run: Run) -> str:
    """Say what the layers did for every class."""
    labels = run.layout.labels("layer")
    rows = []
    for part, share in run.parts("train").items():
        loss, totals = run.loss(part), run.allocation(part).values.sum(axis=0)
        cells = (f"{value:+.3f}" for value in totals)
        closed = f"{run.gap(part).sum():+.1e}"
        rows.append((part, f"{share:.3f}", f"{loss[0]:.3f} → {loss[-1]:.3f}", *cells, closed))
    head = ["measure", "share", "loss", *labels, "Σ gap"]
    return "## Classes\n\nTheir mean, by share, is the whole.\n\n" + table(head, rows)


def noise(run: Run) -> str:
    """Say how noisy it was."""
    over_time = analyses.helping_over_time(run, "train")
    each = analyses.heroes_and_villains(run, "train")
    turns = analyses.steps_between_turns(run, "train")
    spread = analyses.distribution(run, "train")
    low, high = each.between(95)
    helping = (
        f"{100 * over_time.of_moving.mean():.1f} % of the parameters that moved helped at a step "
        f"({100 * over_time.of_all.mean():.1f} % of all), on average over the steps. 95 % of the "
        f"parameters helped on {100 * low:.0f} to {100 * high:.0f} % of the steps on which they "
        f"moved; coins would have a standard deviation of {100 * each.spread:.1f} %."
    )
    of = (turns.motion, turns.gradient, turns.allocation)
    between = table(
        ["steps between turns of", "motion", "gradient", "LCA"],
        [(name, *(f"{x[i]:.1f}" for x in of)) for i, name in enumerate(turns.labels)],
    )
    helps, hurts = spread.gini
    alpha, low_q, high_q = spread.tail_index(), spread.quantile(0.01), spread.quantile(0.99)
    values = table(
        ["allocations in", "mean", "1 %", "99 %", "Gini of helps", "of hurts", "tail index"],
        [
            (name, f"{spread.mean[i]:+.1e}", f"{low_q[i]:+.1e}", f"{high_q[i]:+.1e}",
             f"{helps[i]:.2f}", f"{hurts[i]:.2f}", f"{alpha[i]:.1f}")
            for i, name in enumerate(spread.labels)
        ],
    )  # fmt: skip
    return f"## Noise\n\n{helping}\n\n{between}\n\n{values}"


def together(run: Run) -> str:
    """Say how synchronous it was."""
    parts = list(run.parts("train"))
    series = {
        "LCA, by class": np.stack([run.allocation(part).values.T for part in parts]),
        "gradient, by class": -np.stack([run.size(part, "gradient").values.T for part in parts]),
        "LCA": run.allocation("train").values.T,
        "gradient": -run.size("train", "gradient").values.T,
        "motion": -run.size("train", "motion").values.T,
    }
    rows = []
    for name, values in series.items():
        peaks = analyses.PEAKS * (values.size // values.shape[-1]) // values.shape[-2]
        for null in NULLS:
            found = analyses.synchrony(values, null=null)
            cells = f"{found.observed} of {peaks}", f"{found.expected:.2f}", f"{found.p_value:.4f}"
            rows.append((name, null, *cells))
    text = (
        "Steps at which all layers have one of their 20 deepest peaks (of LCA downwards, of the "
        "sizes of gradient and motion upwards), summed over classes; expected under three nulls, "
        "with empirical p-values from 10,000 draws (0.0001 is the smallest possible). By class "
        "only “rotation” keeps what the classes of a layer share; p of the others is too small "
        "where these peak together."
    )
    head = ["peaks of", "null", "aligned", "expected", "p"]
    return f"## Synchrony\n\n{text}\n\n{table(head, rows)}"


def held_out(run: Run) -> str:
    """Compare with validation."""
    found = analyses.generalisation(run, "train", "val")
    rows = [
        (name, f"{learned:+.4f}", f"{other:+.4f}", f"{other / learned:.3f}")
        for name, learned, other in zip(
            found.labels, found.learned[-1], found.held_out[-1], strict=True
        )
    ]
    pairs = analyses.overfitting(run, "train", "val")
    shares = pairs.shares
    told = (
        f"Of the parameters that moved, {100 * shares['helped', 'helped']:.1f} % helped both over "
        f"the run, {100 * shares['helped', 'hurt']:.1f} % helped training and hurt validation; "
        f"their totals correlate with {pairs.correlation:.3f}."
    )
    head = ["layer", "train", "val", "val / train"]
    return f"## Held-out data\n\n{told}\n\n{table(head, rows)}"


if __name__ == "__main__":
    main()
