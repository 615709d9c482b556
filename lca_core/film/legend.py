"""What the colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.film.colours import levels
from lca_core.film.pen import QUIET, write

if TYPE_CHECKING:
    from lca_core.film.pen import Align
    from lca_core.film.sheet import Sheet


def draw_legend(frame: np.ndarray, sheet: Sheet, scale: float, *, pool: int, grades: int) -> None:
    """Draw the scale of the colours and say where it comes from.

    Args:
        frame: numbers of the palette; changed.
        sheet: how it is divided.
        scale: what is drawn strongest, loss units; 0 where nothing was allocated.
        pool: parameters to a side of a square.
        grades: shades of each sign.
    """
    box, size, line = sheet.legend, sheet.small, sheet.line
    write(frame, "helped", size, box)
    write(frame, "hurt", size, box, align="right")
    bar = levels(np.linspace(-1.0, 1.0, box.width), 1.0, grades)
    frame[box.y + line : box.y + 2 * line, box.x : box.x + box.width] = bar
    if not scale:
        write(frame, "nothing was allocated", size, box.lower(2 * line), strength=QUIET)
        return
    end = f"{scale:.1e}".replace("-", "−")
    numbers: dict[Align, str] = {"left": f"−{end}", "middle": "0", "right": f"+{end}"}
    for align, words in numbers.items():
        write(frame, words, size, box.lower(2 * line), strength=QUIET, align=align)
    what = "|LCA|" if pool == 1 else "|sum|"
    told = (f"ends: 99th percentile of {what}", "over all steps, zeros left out")
    for i, words in enumerate(told):
        write(frame, words, size, box.lower((3 + i) * line), strength=QUIET)
