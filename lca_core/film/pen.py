"""Writing on a frame: masks become shades of ink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from lca_core.film import lettering
from lca_core.film.colours import inked

if TYPE_CHECKING:
    from lca_core.film.sheet import Box

PALE, QUIET, FULL = 0.22, 0.62, 1.0
"""Strengths of ink: what is to come, what explains, what is said."""

Align: TypeAlias = Literal["left", "middle", "right"]


def stamp(frame: np.ndarray, mask: np.ndarray, x: int, y: int, strength: float = FULL) -> None:
    """Ink a mask onto the page, as far as it lies in the frame; the stronger ink stays.

    Args:
        frame: numbers of the palette, (height, width), uint8; changed.
        mask: uint8, 255 is ink.
        x: where its upper left corner lies, pixels from the left.
        y: the same from the top.
        strength: of its ink.
    """
    inside = mask[max(-y, 0) :, max(-x, 0) :]
    view = frame[max(y, 0) :, max(x, 0) :][: inside.shape[0], : inside.shape[1]]
    inside = inside[: view.shape[0], : view.shape[1]]
    np.maximum(view, inked(inside, strength), out=view)


def write(
    frame: np.ndarray,
    words: str,
    size: int,
    box: Box,
    *,
    strength: float = FULL,
    align: Align = "left",
) -> None:
    """Write one line at the top of a box; what is too long for it loses its middle."""
    mask = lettering.text(words, size, box.width)
    free = box.width - mask.shape[1]
    shift = {"left": 0, "middle": free // 2, "right": free}[align]
    stamp(frame, mask, box.x + shift, box.y, strength)
