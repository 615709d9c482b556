"""How an experiment is found: in the catalogue, or in anybody's module; and set otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, fields_dict, has

from lca_core.errors import ExperimentError, UnknownNameError
from lca_core.experiments.catalogue import EXPERIMENTS
from lca_core.imported import imported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.experiments.experiment import Experiment


_PARTS = ("name", "claim", "plan", "judge")


def find_experiment(name: str) -> Experiment:
    """Return an experiment.

    Args:
        name: one of `EXPERIMENTS`, or `package.module:NAME`.

    Raises:
        UnknownNameError: there is none, or it is something else.
    """
    if ":" in name:
        own: Experiment = imported(name, "experiment")
        missing = [part for part in _PARTS if not hasattr(own, part)]
        if missing:
            msg = (
                f"'{name}' is not an experiment: it has no {', '.join(missing)}. It must be an "
                f"object with {', '.join(_PARTS)}."
            )
            raise UnknownNameError(msg)
        return own
    if name not in EXPERIMENTS:
        msg = (
            f"No experiment is called '{name}'; there are {', '.join(EXPERIMENTS)}. "
            "One of your own is named package.module:NAME."
        )
        raise UnknownNameError(msg)
    return EXPERIMENTS[name]


def configured(experiment: Experiment, given: Mapping[str, str]) -> Experiment:
    """Return an experiment with other values in its fields.

    Args:
        experiment: an attrs class, if anything is given.
        given: field -> value as it is typed; a whole or decimal number where the field holds one.

    Raises:
        ExperimentError: there is no such field, or the value does not suit it.
    """
    if not given:
        return experiment
    kind: Any = type(experiment)
    fields = fields_dict(kind) if has(kind) else {}
    open_ = [name for name in fields if name not in ("name", "claim")]
    values = {}
    for name, text in given.items():
        if name not in open_:
            there = f"it has {', '.join(open_)}" if open_ else "nothing of it can be set"
            msg = f"'{experiment.name}' has no field {name!r} to set to {text!r}; {there}."
            raise ExperimentError(msg)
        values[name] = _read(experiment, name, text)
    changed: Experiment = evolve(experiment, **values)  # type: ignore[misc]
    return changed


def _read(experiment: Experiment, name: str, text: str) -> int | float | str:
    """Return a typed value as what the field holds now."""
    now = getattr(experiment, name)
    kind = type(now) if type(now) in (int, float) else str
    try:
        return kind(text)
    except ValueError:
        msg = (
            f"'{name}' of '{experiment.name}' holds {now!r}, so that {text!r} does not suit it: "
            f"give {'a whole' if kind is int else 'a'} number."
        )
        raise ExperimentError(msg) from None
