"""The settings of a run as a reader wants them: short things on one line, long ones folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEW = 6

Settings = dict[str, "str | Settings"]


def readable(config: Mapping[str, Any], measures: tuple[str, ...]) -> Settings:
    """Return settings as text.

    Args:
        config: of the run.
        measures: their names; what is the same for all of them is said once.

    Example:
        >>> from lca_core.report.settings import readable
        >>> readable({"eps": {"train": 1e-7, "val": 1e-7}, "mode": None}, ("train", "val"))
        {'eps': '1e-07 for every measure', 'mode': '–'}
    """
    return {str(key): _readable(value, measures) for key, value in config.items()}


def _readable(value: Any, measures: tuple[str, ...]) -> str | Settings:
    if not isinstance(value, dict):
        return _text(value)
    values = list(value.values())
    if len(values) > 1 and set(value) <= set(measures) and all(one == values[0] for one in values):
        return f"{_text(values[0])} for every measure"
    plain = not any(isinstance(one, dict) for one in values)
    if plain and len(values) <= _FEW:
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items()) or "–"
    return readable(value, measures)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
