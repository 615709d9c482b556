"""The colours of a film, as a palette: a byte a pixel, from the first to the last frame."""

from __future__ import annotations

import numpy as np
from attrs import evolve, frozen

from lca_core.figures.theme import COLOURS, ColourNames, Theme

Colour = tuple[float, float, float]

LEVELS = 100
"""Shades of each sign."""

LOST = 2 * LEVELS + 1
_QUIET, _INK = LOST + 1, LOST + 2
_SHADES = 256 - _INK


@frozen
class Colours:
    """What is drawn in which colour; red, green and blue from 0 to 1.

    Args:
        help, hurt: the strongest; what is weaker is nearer to `zero`.
        zero: nothing was allocated.
        page: behind everything.
        ink: text and the loss.
        lost: a step of which nothing is known, as it was not finite, or not looked at.
    """

    help: Colour = COLOURS["authors"]["help"]
    hurt: Colour = COLOURS["authors"]["hurt"]
    zero: Colour = (1.0, 1.0, 1.0)
    page: Colour = (0.94, 0.94, 0.95)
    ink: Colour = (0.1, 0.1, 0.1)
    lost: Colour = (0.8, 0.8, 0.82)


LIGHT = Colours()
DARK = Colours(
    zero=(0.0, 0.0, 0.0), page=(0.13, 0.13, 0.15), ink=(0.9, 0.9, 0.9), lost=(0.35, 0.35, 0.38)
)


def named_colours(name: ColourNames = "authors", *, dark: bool = False) -> Colours:
    """Return the authors' green and red, or blue and orange that everybody tells apart.

    Args:
        name: "authors" or "colour-blind", as in `lca_core.figures.Theme.of`.
        dark: on black.
    """
    from matplotlib.colors import to_rgb

    theme = Theme.of(name)
    plain = DARK if dark else LIGHT
    return evolve(plain, help=to_rgb(theme.help), hurt=to_rgb(theme.hurt))


def levels(values: np.ndarray, scale: float, grades: int = LEVELS) -> np.ndarray:
    """Return numbers of the palette: 0 the strongest help, `LEVELS` nothing, 2·`LEVELS` hurt.

    Args:
        values: allocations, of any shape.
        scale: what is at least as large is drawn strongest; loss units, positive.
        grades: use only so many shades of each sign, a divisor of `LEVELS`.

    Returns:
        Of the same shape, uint8; what is not a number is `LOST`.

    Example:
        >>> import numpy as np
        >>> from lca_core.film.colours import levels
        >>> levels(np.array([-3.0, -1.0, 0.0, 0.5, np.nan]), scale=2.0)
        array([  0,  50, 100, 125, 201], dtype=uint8)
    """
    shares = np.clip(np.divide(values, scale, dtype=np.float64), -1.0, 1.0)
    shades = np.rint(grades * shares) * (LEVELS // grades) + LEVELS
    return np.where(np.isnan(shades), LOST, shades).astype(np.uint8)


def palette(chosen: Colours) -> np.ndarray:
    """Return the colours by number, shape (256, 3), uint8, sRGB.

    Behind the allocations and `LOST` come a quiet ink, and shades from the page to full ink.
    """
    help_, hurt, zero, page, ink, lost = (
        np.array(colour)
        for colour in (chosen.help, chosen.hurt, chosen.zero, chosen.page, chosen.ink, chosen.lost)
    )
    amount = np.arange(1, LEVELS + 1)[:, None] / LEVELS
    helps, hurts = zero + amount[::-1] * (help_ - zero), zero + amount * (hurt - zero)
    inks = page + np.linspace(0, 1, _SHADES)[:, None] * (ink - page)
    quiet = page + 0.25 * (ink - page)
    rows = np.vstack([helps, zero, hurts, lost, quiet, inks])
    return np.asarray(np.rint(255 * rows), np.uint8)


def inked(mask: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Return the shades of ink for a mask.

    Args:
        mask: uint8, 0 the page, 255 ink.
        strength: of full ink.
    """
    shades = np.rint(mask * (strength * (_SHADES - 1) / 255)) + _INK
    return np.asarray(shades, np.uint8)
