"""How wide a figure may be: its words keep their size, and need room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from lca_core.cli.finite import FiniteRange

if TYPE_CHECKING:
    from click import Context, Parameter

NARROWEST = 3.4
"""Inches: a column of two."""


class FigureWidth(FiniteRange):
    """Inches, enough of them."""

    def __init__(self) -> None:
        super().__init__(min=NARROWEST)

    def fail(
        self, message: str, param: Parameter | None = None, ctx: Context | None = None
    ) -> Never:
        """Refuse a width, with the remedy."""
        remedy = (
            f"Words keep their size, and have no room in less than {NARROWEST} inches: give that "
            "or more, and make the picture smaller where it is shown."
        )
        super().fail(f"{message} {remedy}", param, ctx)
