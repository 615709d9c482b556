"""The command `lca`."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from lca_core.errors import MissingExtraError

_NEEDED = ("click", "rich", "matplotlib", "sklearn")


def main() -> None:
    """Run the command line; without its packages, say how to install them."""
    if any(find_spec(package) is None for package in _NEEDED):
        sys.exit(str(MissingExtraError("The command `lca`", "cli")))
    from lca_core.cli.commands import lca

    lca()
