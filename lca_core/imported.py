"""Things of other people's modules, by the name `package.module:NAME`."""

from __future__ import annotations

import importlib
from typing import Any

from lca_core.errors import UnknownNameError


def imported(name: str, what: str) -> Any:
    """Return what a module has under a name.

    Args:
        name: `package.module:NAME`.
        what: it should be, for the error.

    Raises:
        UnknownNameError: there is no such module, or no such name in it.

    Example:
        >>> from lca_core.imported import imported
        >>> imported("math:pi", "number") > 3
        True
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        msg = f"There is no {what} at '{name}': {error}. It must be importable from here."
        raise UnknownNameError(msg) from error
