"""The options of the larger commands, and the values that name a layer or steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from lca_core.adapters import Mode
from lca_core.adaptive import Adaptive
from lca_core.cli.finite import FiniteRange
from lca_core.datasets import DATASETS
from lca_core.figures.theme import COLOURS
from lca_core.networks import NETWORKS
from lca_core.observers import EXTRA_OBSERVERS
from lca_core.optimizers import OPTIMIZERS
from lca_core.rules import RULES
from lca_core.tolerance import Tolerance

Command = TypeVar("Command", bound=Callable[..., Any])

_RATE = click.FloatRange(min=0)
_MOMENTUM = click.FloatRange(min=0, max=1, max_open=True)
_COUNT = click.IntRange(min=1)


def for_layer(
    mark: str, number: Callable[[str], Any], default: int | None = None
) -> Callable[[str], tuple[str, Any]]:
    """Return a function that reads LAYER, a mark and a number as the pair of both.

    Args:
        mark: what parts them.
        number: reads the number.
        default: the number where there is no mark; None where there has to be one.
    """

    def read(text: str) -> tuple[str, Any]:
        layer, found, rest = text.partition(mark)
        if not found and default is not None:
            return layer, default
        if not layer or not rest:
            msg = f"'{text}' is not a layer, '{mark}' and a number."
            raise click.BadParameter(msg)
        return layer, number(rest)

    return read


def stacked(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator that adds options in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _option(name: str, text: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(name, help=text, **settings)


def _shown(name: str, text: str, default: Any, **settings: Any) -> Callable[[Command], Command]:
    return _option(name, text, default=default, show_default=True, **settings)


everywhere = stacked(
    _shown("--network", "The paper's networks.", "fc", type=click.Choice(list(NETWORKS))),
    _shown("--data", "The data set.", "digits", type=click.Choice(DATASETS)),
    _option(
        "--data-dir",
        "Folder with the files of the data set; downloaded without it.",
        type=click.Path(path_type=Path),
    ),
    _option(
        "--examples",
        "Use only the first so many of each split, for tries.",
        metavar="N",
        type=_COUNT,
    ),
    _shown("--optimizer", "How parameters move.", "sgd", type=click.Choice(list(OPTIMIZERS))),
    _option("--lr", "Learning rate.  [default: the paper's for the optimizer]", type=_RATE),
    _option("--momentum", "Momentum, or β₁ of Adam.  [default: 0.9]", type=_MOMENTUM),
    _shown(
        "--schedule",
        "How the learning rate moves.",
        "constant",
        type=click.Choice(["constant", "drops", "cosine"]),
    ),
    _option(
        "--drop-at",
        "Divide the learning rate by ten as this epoch (from 0) begins; repeatable.",
        metavar="EPOCH",
        type=click.IntRange(min=0),
        multiple=True,
    ),
    _option("--warmup", "Epochs of linear warm-up before the cosine.", type=_RATE),
    _shown("--batch-size", "Examples a step.", 250, type=_COUNT),
    _shown("--epochs", "Passes over the training data.", 10, type=_COUNT),
)
"""What is trained on what, and how: of every training."""

training = stacked(
    everywhere,
    _shown("--seed", "Of weights, order and dropout.", 0, type=click.IntRange(min=0)),
    _option(
        "--freeze",
        "Hold a layer from this step (from 0) on, the first by default; repeatable.",
        metavar="LAYER[@STEP]",
        type=for_layer("@", click.IntRange(min=0), default=0),
        multiple=True,
    ),
    _option(
        "--layer-lr",
        "Learning rate of one layer; repeatable.",
        metavar="LAYER=LR",
        type=for_layer("=", _RATE),
        multiple=True,
    ),
    _option(
        "--layer-momentum",
        "Momentum of one layer; repeatable.",
        metavar="LAYER=M",
        type=for_layer("=", _MOMENTUM),
        multiple=True,
    ),
)
"""All of one training."""

keeping = stacked(
    _shown(
        "--mode",
        "Batch norm by moving averages, or by the measured batches' own.",
        "eval",
        type=click.Choice(get_args(Mode)),
    ),
    _option(
        "--observe",
        "What to keep beside sums, counts and totals, or all of it; repeatable.",
        type=click.Choice([*EXTRA_OBSERVERS, "all"]),
        multiple=True,
    ),
    _option(
        "--dense",
        "Keep every parameter's allocation at every step, for `lca animate`: 4 bytes each, "
        "before compression.",
        is_flag=True,
    ),
    _option(
        "--watch",
        "Keep weight, gradient and allocation of N parameters of every layer, drawn by --seed.",
        metavar="N",
        type=_COUNT,
    ),
    _option(
        "--rule",
        "This quadrature rule for every step.  [default: refine where the books ask for it]",
        type=click.Choice(list(RULES), case_sensitive=False),
    ),
    _shown(
        "--rtol", "Gap that counts as closed, relative to the change.", Tolerance().rtol, type=_RATE
    ),
    _shown("--atol", "The same, in loss units.", Tolerance().atol, type=_RATE),
    _option(
        "--run-rtol",
        "How much the gaps of all steps may sum to, relative to how far the loss has travelled.  "
        f"[default: {Adaptive().run_rtol}]",
        type=_RATE,
    ),
    _option(
        "--certify",
        "Refine until every layer's parts are certain too, at two gradients a step or more.",
        is_flag=True,
    ),
    _option(
        "--audit",
        "Refine one of every K steps, drawn at random, once more than it needs: they tell the ±; "
        f"0 for none.  [default: {Adaptive().audit}]",
        metavar="K",
        type=click.IntRange(min=0),
    ),
)
"""How a step is closed, and what is kept of it."""

measuring = stacked(
    _shown("--every", "Steps between two measurements.", 1, type=_COUNT),
    _option(
        "--by-class",
        "Measure every class of the training data by itself too, in the same pass.",
        is_flag=True,
    ),
    _option(
        "--probe",
        "Measure on N examples of each split, drawn once; a split that has no more keeps all.",
        metavar="N",
        type=_COUNT,
    ),
    _option(
        "--redrawn",
        "Measure on N fresh examples of the training data at every step, with standard errors; "
        "an even number.",
        metavar="N",
        type=_COUNT,
    ),
    _option(
        "--stratified",
        "Draw every class in proportion to its share, for --probe and --redrawn.",
        is_flag=True,
    ),
    keeping,
)
"""How the loss change is allocated."""


def step_range(context: click.Context, option: click.Parameter, text: str | None) -> slice:
    """Read A:B, either of them missing or counted from the end, as a slice."""
    begin, colon, end = (text or ":").partition(":")
    try:
        if colon:
            return slice(*(int(number) if number.strip() else None for number in (begin, end)))
    except ValueError:
        pass
    msg = f"'{text}' is not a range of steps: give A:B, from 0, without step B itself."
    raise click.BadParameter(msg, context, option)


def settings(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    """Read every FIELD=VALUE."""
    for text in texts:
        if "=" not in text:
            msg = f"'{text}' sets nothing: give FIELD=VALUE."
            raise click.BadParameter(msg, context, option)
    return dict(text.split("=", 1) for text in texts)


experimenting = stacked(
    everywhere,
    _shown("--seeds", "Runs of every arm.", 10, type=_COUNT),
    _shown("--first-seed", "The seeds are this one and those after it.", 0, type=click.IntRange(0)),
    _option(
        "--mode",
        "Batch norm by moving averages, or by the measured batches' own.  [default: the "
        "experiment's, or eval]",
        type=click.Choice(get_args(Mode)),
    ),
    _option(
        "--every",
        "Steps between two measurements.  [default: the experiment's, or 1]",
        metavar="K",
        type=_COUNT,
    ),
)
"""What an experiment is made on."""

filming = stacked(
    _shown("--fps", "Frames a second; .gif: at most 50.", 30.0, type=FiniteRange(min=0.1, max=240)),
    _option(
        "--steps",
        "Only these, from 0, without B; the colours keep the scale of all.",
        metavar="A:B",
        callback=step_range,
    ),
    _shown("--every", "Show only every so many of them.", 1, type=_COUNT),
    _option(
        "--width",
        "Pixels, of 16:9.  [default: 1920, or 3840 if the network needs it; .gif: 960]",
        type=click.IntRange(min=320, max=7680),
    ),
    _shown(
        "--colours",
        "Green and red, or blue and orange.",
        "authors",
        type=click.Choice(list(COLOURS)),
    ),
    _option("--dark", "On black.", is_flag=True),
)
"""What of a run is shown in a film, and how."""
