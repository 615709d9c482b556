"""The demonstration: a small training with nothing to choose."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lca_core.cli.run import carry_out, ready, to_write
from lca_core.cli.terminal import make_console, say
from lca_core.cli.trained_with import TrainedWith
from lca_core.datasets import digits
from lca_core.networks import Dense
from lca_core.words import counted

if TYPE_CHECKING:
    from pathlib import Path

    from lca_core.cli.run import Earlier
    from lca_core.training import TrainingSpec


def run_demo(
    backend: str, out: Path, spec: TrainingSpec, *, earlier: Earlier | None, live: bool = False
) -> None:
    """Train on the digits, print the table, and write the run and its figures.

    Args:
        backend: name of an adapter.
        out: directory to write to; made if it is not there.
        spec: a fully connected network, and its optimizer.
        earlier: what to do with an earlier `out`/run.zarr; None to refuse.
        live: show a table of the layers while training.

    Raises:
        FileExistsError: there is one, and `earlier` is None.
    """
    adapter, path = ready(backend, out, earlier)
    dataset, console = digits(), make_console()
    trained = TrainedWith(path, adapter.name, spec, dataset)
    writing = to_write(trained, earlier)
    say(console, _announcement(spec, backend, len(dataset.train)))
    carry_out(adapter, trained, tracking=writing, console=console, live=live)


def _announcement(spec: TrainingSpec, backend: str, examples: int) -> str:
    dense = [layer.units for layer in spec.network.layers if isinstance(layer, Dense)]
    widths = "-".join(map(str, (math.prod(spec.network.inputs), *dense)))
    return (
        f"Training a {widths} network on {examples:,} handwritten digits with {backend}, "
        f"{counted(spec.steps(examples), 'step')}; the change of the loss over all of them, and "
        "over the held-out digits, is allocated to each of its "
        f"{spec.network.parameters:,} parameters at every step."
    )
