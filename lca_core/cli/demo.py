"""The demonstration: train, allocate, show, draw."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from lca_core.cli.terminal import TrainingProgress, make_console, print_summary, say
from lca_core.datasets import digits
from lca_core.figures import FIGURES, save
from lca_core.training import TrainingSpec, find_adapter

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from lca_core.run import Run

_MEASURE = "train"


def run_demo(backend: str, out: Path, spec: TrainingSpec, *, overwrite: bool) -> None:
    """Train on the digits, print the table, and write the run and its figures.

    Args:
        backend: name of an adapter.
        out: directory to write to; made if it is not there.
        spec: network and optimizer.
        overwrite: replace `out`/run.zarr if there is one.

    Raises:
        FileExistsError: there is one, and `overwrite` is False.
    """
    path = out / "run.zarr"
    if os.path.lexists(path) and not overwrite:
        msg = f"There is already a run at '{path}': choose another --out, or pass --overwrite."
        raise FileExistsError(msg)
    adapter, dataset, console = find_adapter(backend), digits(), make_console()
    steps = spec.steps(len(dataset.train))
    say(console, _announcement(spec, backend, len(dataset.train), steps))
    out.mkdir(parents=True, exist_ok=True)
    _remove(path)
    with TrainingProgress(console, steps) as progress:
        run = adapter.train(spec, dataset, on_step=progress, tracking={"path": path})
    print_summary(console, run, _MEASURE, by="layer")
    _draw(console, run, out)
    say(console, f"The run: {path} (lca show {path}).")


def _announcement(spec: TrainingSpec, backend: str, examples: int, steps: int) -> str:
    parameters = sum(leaf.size for leaf in spec.initial().values())
    return (
        f"Training a {'-'.join(map(str, spec.widths))} network on {examples:,} handwritten digits "
        f"with {backend}, {steps} steps; the change of the loss over all of them, and over the "
        f"held-out digits, is allocated to each of its {parameters:,} parameters at every step."
    )


def _remove(path: Path) -> None:
    """Delete an earlier run, a link only as a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _draw(console: Console, run: Run, out: Path) -> None:
    paths = [out / f"{name}.png" for name in FIGURES]
    for draw, path in zip(FIGURES.values(), paths, strict=True):
        save(draw(run, _MEASURE), path)
    say(console, f"Figures: {', '.join(map(str, paths))}.")
