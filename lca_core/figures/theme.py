"""What colours and paper a picture has: values that every figure function takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import frozen

from lca_core.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.colors import Colormap

Colour: TypeAlias = str | tuple[float, float, float]
ColourNames: TypeAlias = Literal["authors", "colour-blind"]


@frozen
class Theme:
    """How a picture looks: `Theme.of("colour-blind", dark=True)`; change one thing by `evolve`.

    Args:
        help, hurt: what is negative, what is positive.
        help_word, hurt_word: these colours in words.
        moving: line of those that helped, edged in white on areas of `help` and `hurt`.
        weight, gradient: two lines that are neither help nor hurt.
        paper: background, and what is zero.
        ink: lines and words.
        soft: words that matter less.
        grey: marks that matter less.
        pale: shades.
        truth: a broad line below another one, bars that are neither help nor hurt.
        sequence: part of the colour map viridis that `ramp` takes.
        width: inches; the words stay as large as they are.

    Example:
        >>> from lca_core.figures import Theme, allocation_by_layer
        >>> from lca_core.reference import demo_run
        >>> figure = allocation_by_layer(demo_run(), "train", theme=Theme.of(dark=True, width=3.4))
        >>> float(figure.get_figwidth())
        3.4
    """

    help: Colour
    hurt: Colour
    help_word: str
    hurt_word: str
    moving: Colour
    weight: Colour
    gradient: Colour
    paper: Colour
    ink: Colour
    soft: Colour
    grey: Colour
    pale: Colour
    truth: Colour
    sequence: tuple[float, float]
    width: float = 5.0

    @classmethod
    def of(
        cls, colours: ColourNames = "authors", *, dark: bool = False, width: float = 5.0
    ) -> Theme:
        """Return a theme by the names of its parts.

        Args:
            colours: the authors' green and red, or "colour-blind": blue and orange that differ in
                lightness too (46 and 70 of 100), so that they stay apart in grey.
            dark: for dark slides and pages.
            width: inches; 3.4 is a column of two.

        Raises:
            UnknownNameError: there are no such colours.

        Source: the authors' plots (arXiv:1909.01440); M. Okabe and K. Ito (2008), Color universal
        design, recommended by B. Wong (2011), doi:10.1038/nmeth.1618.
        """
        if colours not in COLOURS:
            msg = f"There are no colours '{colours}'; there are {list(COLOURS)}."
            raise UnknownNameError(msg)
        return cls(**COLOURS[colours], **(DARK if dark else LIGHT), width=width)

    def signed(self, values: Iterable[float]) -> list[Colour]:
        """Return the colour of every value: below zero it helped."""
        return [self.help if value < 0 else self.hurt for value in values]

    def ramp(self, count: int) -> list[Any]:
        """Return colours for things in an order; viridis, made for colour-blind eyes and grey."""
        import matplotlib as mpl

        low, high = self.sequence
        steps = max(count - 1, 1)
        return [mpl.colormaps["viridis"](low + (high - low) * i / steps) for i in range(count)]

    def diverging(self) -> Colormap:
        """Return the colour map from help over nothing to hurt."""
        from matplotlib.colors import LinearSegmentedColormap

        return LinearSegmentedColormap.from_list("lca", [self.help, self.paper, self.hurt])


COLOURS: dict[str, dict[str, Any]] = {
    "authors": {
        "help": (0.3, 0.75, 0.3),
        "hurt": (0.9, 0.25, 0.25),
        "help_word": "green",
        "hurt_word": "red",
        "moving": (0.0, 0.35, 0.1),
        "weight": (0.85, 0.45, 0.1),
        "gradient": (0.25, 0.5, 0.8),
    },
    "colour-blind": {
        "help": "#0072B2",
        "hurt": "#E69F00",
        "help_word": "blue",
        "hurt_word": "orange",
        "moving": "#003A66",
        "weight": "#CC79A7",
        "gradient": "#009E73",
    },
}
"""Pairs for help and hurt, and what goes with them."""

LIGHT: dict[str, Any] = {
    "paper": (1.0, 1.0, 1.0),
    "ink": "0.1",
    "soft": "0.4",
    "grey": "0.6",
    "pale": "0.88",
    "truth": (0.62, 0.77, 0.93),
    "sequence": (0.0, 0.85),
}

DARK: dict[str, Any] = {
    "paper": (0.08, 0.09, 0.11),
    "ink": "0.92",
    "soft": "0.7",
    "grey": "0.55",
    "pale": "0.25",
    "truth": (0.25, 0.42, 0.6),
    "sequence": (0.25, 1.0),
}

AUTHORS = Theme.of()
"""What is taken where no theme is given."""
