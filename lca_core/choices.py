"""What a user chose to measure with, or left to us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lca_core.adaptive import Adaptive
from lca_core.errors import ObserverError, RuleError
from lca_core.observers import default_observers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lca_core.layout import Layout
    from lca_core.segment import Integrator
    from lca_core.typing import Observer


def chosen(
    layout: Layout, integrator: Integrator | None, observers: Iterable[Observer] | None
) -> tuple[Integrator, tuple[Observer, ...]]:
    """Return the integrator and the observers, our own where nothing was chosen.

    Args:
        layout: the leaves.
        integrator: None for `Adaptive()`.
        observers: None for `default_observers(layout)`.

    Raises:
        RuleError: it is no integrator.
        ObserverError: one of them is no observer, or they are not several.

    Example:
        >>> from lca_core.choices import chosen
        >>> from lca_core.reference import Polynomial
        >>> import numpy as np
        >>> layout = Polynomial({"x": np.ones(2)}, power=3).layout
        >>> chosen(layout, None, [])[1]
        ()
    """
    if integrator is not None and not _has(integrator, "settle", "describe"):
        msg = (
            f"integrator must be Adaptive(...) or Fixed(rule), got {integrator!r}. "
            "Rules are values, as in Fixed(lca_core.SIMPSON)."
        )
        raise RuleError(msg)
    if observers is None:
        observers = default_observers(layout)
    if _has(observers, "update"):
        msg = f"observers must be a list of them, got one: pass [{type(observers).__name__}(...)]."
        raise ObserverError(msg)
    for one in (observers := tuple(observers)):
        if not _has(one, "declare", "init", "update"):
            made = one.__name__ if isinstance(one, type) else "Totals"
            msg = f"An observer has declare, init and update; got {one!r}. Pass it made: {made}()."
            raise ObserverError(msg)
    return integrator or Adaptive(), observers


def _has(value: Any, *methods: str) -> bool:
    """Return whether this is a made object with these methods, not a class of such."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in methods)
