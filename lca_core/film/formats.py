"""What kinds of film there are."""

from __future__ import annotations

import math

from attrs import frozen

from lca_core.errors import FilmError
from lca_core.film.colours import LEVELS


@frozen
class Format:
    """How films of one kind are made.

    Args:
        widths: pixels; the first that gives every parameter a square of its own, or the last.
        smallest: pixels to a side of a square, at least.
        grades: shades of each sign, a divisor of `LEVELS`.
        arguments: of ffmpeg.
        fastest: frames a second, at most.
    """

    widths: tuple[int, ...]
    smallest: int
    grades: int
    arguments: tuple[str, ...]
    fastest: float = math.inf

    def check_pace(self, fps: float) -> None:
        """Refuse what would not be played at that pace.

        Args:
            fps: frames a second.

        Raises:
            FilmError: too fast, or no pace at all.
        """
        if not 0.0 < fps < math.inf:
            msg = f"A film needs a finite number of frames a second above 0, got {fps:g}."
            raise FilmError(msg)
        if fps > self.fastest:
            msg = (
                f"A .gif shows at most {self.fastest:g} frames a second, got {fps:g}: its delays "
                "are whole hundredths of a second, and browsers play those below two slowly. "
                f"Ask for {self.fastest:g} (--fps) or less, or for an .mp4."
            )
            raise FilmError(msg)


FORMATS = {
    ".mp4": Format(
        widths=(1920, 3840),
        smallest=2,  # H.264 keeps colours for 2 x 2 pixels
        grades=LEVELS,
        # Better than ffmpeg's own quality: every square counts. A key frame often enough to jump
        # to; colours as browsers expect them; plays before it is loaded.
        arguments=(
            *("-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"),
            *("-c:v", "libx264", "-preset", "fast", "-crf", "18", "-g", "30"),
            *("-rc-lookahead", "10"),  # of frames in memory, at no loss of size
            *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
            *("-color_range", "tv", "-movflags", "+faststart", "-f", "mp4"),
        ),
    ),
    ".gif": Format(
        widths=(960,),
        smallest=1,
        grades=10,  # a third of the size that all shades would take
        # The palette of the frames becomes that of the file: not a colour changes. Loops.
        arguments=("-c:v", "gif", "-loop", "0", "-f", "gif"),
        fastest=50.0,
    ),
}
"""Ending of the name -> how."""
