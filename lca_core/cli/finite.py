"""A finite number in a range: click lets NaN through, and infinity where there is no end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import Context, Parameter


class FiniteRange(click.FloatRange):
    """As `click.FloatRange`, without NaN and infinity."""

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> Any:
        """Read a number.

        Raises:
            BadParameter: it is none, not finite, or out of range.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number
