"""What a terminal without a character shows in its place."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_NAME = "lca_core.spelled"
_SPELLED = {"±": "+-", "–": "-", "×": "x", "…": "...", "β": "beta", "∂": "d", "θ": "theta"}


def spell_out(stream: TextIO) -> None:
    """Let a stream write what its encoding lacks in other letters, "?" at worst, and never fail."""
    codecs.register_error(_NAME, _spelled)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure:
        reconfigure(errors=_NAME)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_SPELLED.get(character, "?") for character in missing), error.end
