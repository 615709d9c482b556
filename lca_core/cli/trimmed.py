"""Lines without blanks at their ends: tables are padded to be drawn, not to be kept in a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from typing import TextIO

_PADDING = re.compile(" +$", re.MULTILINE)


@frozen
class Trimmed:
    """A stream that leaves out the blanks before the end of every line; else as it was.

    Args:
        stream: where to; whole lines are written to it at once.
    """

    stream: TextIO

    def write(self, text: str) -> int:
        """Write lines."""
        return self.stream.write(_PADDING.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
