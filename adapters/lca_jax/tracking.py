"""`track`: the door to LCA for any JAX training loop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax

from lca_core import Allocator, Integrator, Observer, Tracker
from lca_core.choices import chosen
from lca_core.chunks import check_chunking
from lca_core.errors import LeafError
from lca_core.partition import check_weight, expanded, shares
from lca_core.probes import Redrawn, drawn_once, told
from lca_core.redraws import Redraws
from lca_core.remaking import Remaking
from lca_core.starting import start
from lca_jax.checking import Checks, mixtures
from lca_jax.compiling import compiled
from lca_jax.data import Examples, examples_in, measures, read, take
from lca_jax.leaves import Leaves, UnitAxis, find_leaves
from lca_jax.losses import Objective
from lca_jax.memory import Fitting, free
from lca_jax.ops import JaxOps
from lca_jax.oracle import UNROLLED, Evaluator, JaxOracle, machine_epsilon
from lca_jax.redrawing import prepare

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from lca_core import Snapshot


def track(
    loss_fn: Callable[..., Any],
    params: Any,
    data: Any,
    *,
    state: Any = None,
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    every: int = 1,
    path: str | os.PathLike[str] | None = None,
    resume: bool = False,
    chunk: int | None = None,
    batch_size: int | None = None,
    memory: int | None = None,
    leaves: Callable[[str], bool] | None = None,
    unit_axis: UnitAxis | None = None,
) -> Tracker:
    r"""Track a pytree of parameters; call `tracker.step(params)` after every update.

    .. math:: A_{t,i} = \left(\int_0^1 \partial_i L(\theta_t + s\Delta_t)\,ds\right) \Delta_{t,i}

    The tracker copies what it is given, so parameters may be donated to the next step at once.
    The usual step is one compiled call; nothing is compiled again after the first steps.

    Args:
        loss_fn: `loss_fn(params, batch)`, returning losses of shape (n, ...), one or more per
            example, or a pair of them and their weights, or their plain mean. A pure function:
            it is compiled. With `state`, `loss_fn(params, batch, state)`.
        params: any pytree (nested dicts, NNX state, Linen variables, Equinox modules); its
            arrays of floating type are the leaves, named by their path ("layers/0/kernel").
        data: what L is the mean over: a pytree of arrays with examples along axis 0 (`(x, y)`,
            a dict, one array), a list of such batches, or several data sets by name,
            `{"train": ..., "val": ...}`; any of them as a `Partition`, by class say, whose parts
            become measures of their own, or as a sample: `FixedProbe` or `Redrawn`.
        state: what else the loss depends on and training moves (moving averages of batch norm);
            any pytree. Pass it to `tracker.step(params, state)`. Its own share of the loss
            change is `Run.buffers`; where it moves, a step costs a second gradient.
        integrator: `Adaptive()` by default.
        observers: what to keep; `default_observers(layout)` by default.
        every: close a segment at every so many steps.
        path: run file to write as the run goes; None keeps the record in memory.
        resume: go on with the run in `path`, from the checkpoint where the parameters stand.
        chunk: segments between two writes; by default, writing takes 1 % of the time.
        batch_size: examples evaluated at once; by default as many as fit `memory`.
        memory: bytes for the activations of one evaluation; by default 64 MiB on a CPU, a
            quarter of the free memory on an accelerator.
        leaves: leaf name -> whether to follow it; all by default. The others count as state.
        unit_axis: (leaf name, shape) -> the axis of neurons, channels or rows, or None; by
            default the last, the first for embeddings and for Equinox' layers.

    Returns:
        The tracker; `tracker.finish()` returns the `Run`.

    Raises:
        DataError: the data are empty, or no arrays of one length.
        LossError: the loss cannot be evaluated on the data, or is not a mean over examples.
        LeafError: there is nothing to follow.
        RuleError: `batch_size`, `memory`, `every` or `chunk` is below 1.
        FileExistsError, ResumeError: see `path` and `resume`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import lca_jax
        >>> x, noise = jax.random.normal(jax.random.key(0), (2, 32, 4))
        >>> y = x @ jnp.arange(4.0)
        >>> def loss_fn(params, batch):
        ...     x, y = batch
        ...     return (x @ params["w"] + params["b"] - y) ** 2
        >>> def mean(params):
        ...     return loss_fn(params, (x, y)).mean()
        >>> params = {"w": jnp.zeros(4), "b": jnp.zeros(())}
        >>> with lca_jax.track(loss_fn, params, (x, y)) as tracker:
        ...     for _ in range(5):
        ...         gradient = jax.grad(mean)(params)
        ...         params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
        ...         tracker.step(params)
        >>> loss = tracker.run.loss("train")
        >>> fall = tracker.run.allocation("train").values.sum()
        >>> bool(abs(fall - (loss[-1] - loss[0])) < 1e-4)
        True

    Source: LCA paper, section 2.
    """
    found = find_leaves(params, state, leaves=leaves, unit_axis=unit_axis)
    point = found.capture(params, state)
    probes = told(measures(data), examples_in)
    make = partial(
        allocator,
        Objective(loss_fn, found, state is not None),
        integrator=integrator,
        observers=observers,
        batch_size=batch_size,
        memory=memory,
    )
    made = make(point, data)
    oracles = {name: _behind(one) for name, one in made.oracles.items()}
    config = {
        **({"probes": probes} if probes else {}),
        "adapter": "jax",
        "data": {
            name: {"examples": one.examples, "crc32": f"{one.crc32:08x}"}
            for name, one in oracles.items()
        },
        "batch_size": {name: one.batch_size for name, one in oracles.items()},
        "versions": {"jax": jax.__version__, "device": _platform(point)},
    }
    return start(
        made,
        point,
        partial(_outside, found),
        config=config,
        path=path,
        resume=resume,
        every=every,
        chunk=chunk,
        remaking=Remaking(
            measures(data), examples_in, lambda data, at: make(at, data), memory or free(point)
        ),
    )


def allocator(
    objective: Objective,
    point: Snapshot,
    data: Any,
    *,
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    batch_size: int | None = None,
    memory: int | None = None,
) -> Allocator:
    """Return the functional core for a loss, without a tracker.

    Args:
        objective: the loss on named leaves.
        point: where the parameters stand.
        data: as for `track`, as are the others.
        integrator: `Adaptive()` by default.
        observers: `default_observers(layout)` by default.
        batch_size: examples evaluated at once.
        memory: bytes for the activations.

    Raises:
        RuleError: `batch_size` or `memory` is below 1.
    """
    check_chunking(batch_size, memory)
    platform = _platform(point)
    evaluator = Evaluator(objective, UNROLLED.get(platform, 1))
    layout = objective.leaves.layout
    parts, wholes = expanded(drawn_once(measures(data), take, examples_in), take)
    sources = {name: read(_drawn_from(what), point.params) for name, what in parts.items()}
    eps = _epsilons(Checks(objective, point), sources, wholes)
    eps_of_leaves = machine_epsilon(objective.leaves, platform)
    fitting = Fitting(objective, point, memory)

    def oracle(name: str) -> JaxOracle:
        examples = sources[name]
        size = int(batch_size or fitting.batch_size(examples))
        with jax.enable_x64(objective.x64):
            stacks = examples.stacks(size)
        return JaxOracle(
            evaluator,
            stacks,
            examples.examples,
            batch_size=size,
            eps=max(eps[name], eps_of_leaves),
            crc32=examples.crc32,
        )

    def redraws(name: str, probe: Redrawn) -> Redraws:
        whole, count = oracle(name), examples_in(probe.data)
        pick = prepare(whole, sources[name], point)
        check_weight(name, pick.weight)
        return Redraws.of(probe, count, pick, whole.eps)

    oracles = {
        name: redraws(name, what) if isinstance(what, Redrawn) else oracle(name)
        for name, what in parts.items()
    }
    return Allocator(
        JaxOps(),
        oracles,
        layout,
        *chosen(layout, integrator, observers),
        compiled,
        shares(wholes, lambda part: _behind(oracles[part]).weight(point)),
    )


def _outside(leaves: Leaves, params: Any, state: Any = None) -> Snapshot:
    """Copy an iterate where the host can look at it.

    Raises:
        LeafError: inside of a compiled function, or see `Leaves.capture`.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(params)[:1]):
        msg = (
            "tracker.step() was called inside of a compiled function, where parameters have no "
            "values. Call it outside, on what the function returns, or use lca_jax.functional, "
            "whose update() may be compiled."
        )
        raise LeafError(msg)
    return leaves.capture(params, state)


def _drawn_from(what: Any) -> Any:
    return what.data if isinstance(what, Redrawn) else what


def _epsilons(
    checks: Checks, sources: Mapping[str, Examples], wholes: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    """Return measure -> `Checks.epsilon`; a partition is looked at once, on its whole."""
    parts = {name for names in wholes.values() for name in names}
    groups = [*wholes.values(), *((name,) for name in sources if name not in parts)]
    found = {
        names: max(
            checks.epsilon(names[0], batch) for batch in mixtures([sources[k] for k in names])
        )
        for names in groups
    }
    return {name: eps for names, eps in found.items() for name in names}


def _behind(oracle: Any) -> JaxOracle:
    """Return how the loss is evaluated, also of a measure that looks at samples."""
    pick: Any = oracle.pick if isinstance(oracle, Redraws) else None
    whole: JaxOracle = pick.like if pick else oracle
    return whole


def _platform(point: Snapshot) -> str:
    leaf: Any = next(iter(point.params.values()))
    return str(next(iter(leaf.devices())).platform)
