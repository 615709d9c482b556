"""`lca plan`: a few steps of a training, and what measuring all of it would cost."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import click
from attrs import field, mutable

from lca_core.adapters import find_adapter
from lca_core.cli.terminal import make_console, say
from lca_core.plan import budgeted
from lca_core.sampling import Sampling
from lca_core.words import counted

if TYPE_CHECKING:
    from lca_core.cli.setup import Setup
    from lca_core.plan import Plan
    from lca_core.tracker import Tracker
    from lca_core.typing import Snapshot

_STEPS, _KEPT = 24, 9
"""Steps that are trained, and the last iterates among them that are measured on."""

_FEW = 100
"""Examples that the training is followed on, which is to be cheap."""


def plan_setup(setup: Setup, backend: str, budget: str | None, *, as_json: bool = False) -> None:
    """Train a few steps, and print what each way of measuring would cost.

    Args:
        setup: the options of the training.
        backend: name of an adapter.
        budget: the most that time / time of the training alone may be; None for no limit.
        as_json: print JSON alone.
    """
    budgeted(budget)
    console, found = make_console(), planned(setup, backend, budget)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    say(console, found.costs)
    click.echo("\n" + "\n".join(found.table()) + "\n")
    for sentence in (found.recommendation, *found.remarks):
        say(console, sentence)
    if found.best is not None:
        say(console, f"  {command(found.best.options)}")


def planned(setup: Setup, backend: str, budget: str | None) -> Plan:
    """Return the plan of a training.

    Args:
        setup: the options of the training.
        backend: name of an adapter.
        budget: the most that time / time of the training alone may be; None for no limit.
    """
    dataset = setup.dataset()
    spec = setup.spec(dataset)
    planner = _Planner(budget, spec.steps(len(dataset.train)))
    tracking = {**setup.tracking(spec), "sampling": Sampling(probe=_FEW)}
    try:
        find_adapter(backend).train(spec, dataset, on_step=planner, tracking=tracking)
    except _PlannedError as stop:
        return stop.plan
    msg = (
        f"The training has {counted(planner.steps, 'step')}, too few to plan: give it a few more "
        "--epochs."
    )
    raise click.ClickException(msg)


def command(options: tuple[str, ...]) -> str:
    """Return `lca run` with the options that were given to `lca plan`, and these."""
    context = click.get_current_context(silent=True)
    return shlex.join(["lca", "run", *_given(context), *options, "--out", "RUN"])


def _given(context: click.Context | None) -> list[str]:
    """Return the options on the command line that `lca run` has too."""
    words: list[str] = []
    if context is None:
        return words
    typed = click.core.ParameterSource.COMMANDLINE
    for option in context.command.params:
        name = option.name or ""
        if context.get_parameter_source(name) is not typed or name in ("budget", "as_json"):
            continue
        value = context.params[name]
        for one in value if option.multiple else (value,):
            words += [option.opts[0]] if one is True else [option.opts[0], _spelled(name, one)]
    return words


def _spelled(name: str, value: object) -> str:
    """Write a value as it is typed; a layer and its number are a pair."""
    if isinstance(value, tuple):
        return ("@" if name == "freeze" else "=").join(map(str, value))
    return str(value)


class _PlannedError(Exception):
    """Ends the training when all is known."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


@mutable
class _Planner:
    """Called after every step: keeps the last iterates, and plans.

    Args:
        budget: as `Tracker.plan` takes it.
        steps: of the whole training.
    """

    budget: str | None
    steps: int
    iterates: list[Snapshot] = field(factory=list)

    def __call__(self, tracker: Tracker) -> None:
        """Look at a step; stop at the last one."""
        self.iterates = [*self.iterates, tracker.iterate][-_KEPT:]
        if tracker.iteration == min(_STEPS, self.steps) and len(self.iterates) > 2:
            plan = tracker.plan(self.budget, steps=self.steps, iterates=self.iterates)
            raise _PlannedError(plan)
