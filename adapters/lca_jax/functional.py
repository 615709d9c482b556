"""LCA as a pair of pure functions, for train steps that are compiled whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from attrs import evolve, frozen

from lca_core import SIMPSON, Fixed, State
from lca_core.errors import DataError
from lca_core.probes import refuse_redrawn
from lca_jax.compiling import register
from lca_jax.data import measures
from lca_jax.leaves import UnitAxis, find_leaves
from lca_jax.losses import Objective
from lca_jax.tracking import allocator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lca_core import Observer
    from lca_jax.oracle import JaxOracle

_SIMPSON = Fixed(SIMPSON)


class Pair(NamedTuple):
    """LCA as functions.

    Args:
        init: `init(params) -> state`, before and outside of compiled code: it brings the data.
        update: `update(params, state) -> (record, state)`, after every step of the optimizer.
            The record is measure -> name ("loss", "gap", "allocation", ...) -> array.
    """

    init: Callable[..., Books]
    update: Callable[..., tuple[Mapping[str, Mapping[str, jax.Array]], Books]]


@frozen
class Books:
    """The state of a `Pair`, a pytree.

    It carries the data, so that they are an argument of whatever is compiled, not a constant
    inside it. Donate it (`donate_argnums`): JAX copies what goes through a function undonated.

    Args:
        core: where the books stand.
        oracles: measure name -> loss and gradient over its data.
    """

    core: State
    oracles: Mapping[str, JaxOracle]

    def total(self, measure: str) -> Mapping[str, tuple[Any, Any]]:
        """Return leaf name -> the two arrays whose exact sum is the allocation so far.

        Args:
            measure: its name.
        """
        (running,) = (one for one in self.core.running[measure] if "total" in one)
        return {k: (running["total"][k], running["total_rounding"][k]) for k in running["total"]}


register(Books)


def functional(
    loss_fn: Callable[..., Any],
    params: Any,
    data: Any,
    *,
    state: Any = None,
    integrator: Fixed = _SIMPSON,
    observers: Sequence[Observer] | None = None,
    batch_size: int | None = None,
    memory: int | None = None,
    leaves: Callable[[str], bool] | None = None,
    unit_axis: UnitAxis | None = None,
) -> Pair:
    """Return LCA as `init` and `update`; the latter goes into `jax.jit` or `jax.lax.scan`.

    Every step costs the rule's gradients; nothing is decided, refined or checked on the way, so
    look at the record's "gap". Models with state pass it last: `init(params, state)`,
    `update(params, books, state)`.

    Args:
        loss_fn: as for `track`, as are the others.
        params: an example of the pytree: its structure, shapes, types and devices count.
        data: what L is the mean over.
        state: an example of the state; None for none.
        integrator: a fixed rule; Simpson's by default.
        observers: `default_observers(layout)` by default.
        batch_size: examples evaluated at once.
        memory: bytes for the activations.
        leaves: which leaves to follow.
        unit_axis: where the units are.

    Raises:
        RuleError: `batch_size` or `memory` is below 1; on the first `update`, if the integrator is
            not a fixed rule.
        DataError: `init` is called after the data went with donated books.
        UnsupportedError: a measure is `Redrawn`, which the host does.

    Example:
        >>> from functools import partial
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import lca_jax
        >>> x = jnp.arange(6.0)
        >>> def loss_fn(params, x):
        ...     return (x - params["m"]) ** 2
        >>> lca = lca_jax.functional(loss_fn, {"m": jnp.zeros(())}, x)
        >>> @partial(jax.jit, donate_argnums=(0, 1))
        ... def step(params, books):
        ...     params = {"m": params["m"] + 0.5}
        ...     record, books = lca.update(params, books)
        ...     return params, books, record["train"]["allocation"]
        >>> params = {"m": jnp.zeros(())}
        >>> books = lca.init(params)
        >>> params, books, allocation = step(params, books)
        >>> allocation.tolist()
        [-2.25]

    Source: LCA paper, section 2.
    """
    refuse_redrawn(measures(data), "lca_jax.functional")
    found = find_leaves(params, state, leaves=leaves, unit_axis=unit_axis)
    made = allocator(
        Objective(loss_fn, found, state is not None),
        found.capture(params, state),
        data,
        integrator=integrator,
        observers=observers,
        batch_size=batch_size,
        memory=memory,
    )

    oracles: dict[str, Any] = dict(made.oracles)

    @jax.jit
    def first(oracles: Any, params: Any, *state: Any) -> Any:
        return evolve(made, oracles=oracles).init(found.capture(params, *state))

    @jax.jit
    def next_one(core: State, oracles: Any, params: Any, *state: Any) -> Any:
        return evolve(made, oracles=oracles).trace(core, found.capture(params, *state))

    def init(params: Any, *state: Any) -> Books:
        _check_there(oracles)
        with jax.enable_x64(True):
            return Books(first(oracles, params, *state), oracles)

    def update(params: Any, books: Any, *state: Any) -> Any:
        if not isinstance(books, Books):
            msg = (
                "update(params, books) takes what init(params) or the last update returned as its "
                f"second argument, got {type(books).__name__}."
            )
            raise TypeError(msg)
        # The data pass by the compiled function, not through it: what comes out of it is copied.
        with jax.enable_x64(True):
            record, core = next_one(books.core, dict(books.oracles), params, *state)
        return record, Books(core, books.oracles)

    return Pair(init, update)


def _check_there(oracles: Any) -> None:
    """Raise a `DataError` if the data went with the books of an earlier `init`, donated."""
    arrays = [leaf for leaf in jax.tree.leaves(oracles) if isinstance(leaf, jax.Array)]
    if any(array.is_deleted() for array in arrays):
        msg = (
            "The data were donated with the books of an earlier init(), and are gone. Call "
            "lca_jax.functional(...) again for every init(), or leave the books out of "
            "donate_argnums."
        )
        raise DataError(msg)
