"""A model's variables as named leaves, and owned snapshots of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from attrs import frozen

from lca_core import Layout, Leaf, Snapshot
from lca_core.errors import LeafError, UnsupportedError
from lca_keras.backends import BACKEND
from lca_keras.names import stable_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lca_core import Params

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_NEVER_BUILT = (keras.layers.StringLookup, keras.layers.IntegerLookup)
"""They never say that they are, within others, and have no variables anyway."""


@frozen
class Leaves:
    """Which variables of a model are leaves, and which the loss depends on besides.

    Args:
        layout: the leaves, in the model's order.
        trained: leaf name -> variable.
        buffers: name -> variable.
        pinned: variables whose value must not matter: random states, and averages that the mode
            does not use. They are zero while the loss is measured.
        trainable: returns the variables that are trainable now.
        expected: ids of those that may be.
    """

    layout: Layout
    trained: Mapping[str, keras.Variable]
    buffers: Mapping[str, keras.Variable]
    pinned: tuple[keras.Variable, ...] = ()
    trainable: Callable[[], Sequence[keras.Variable]] = tuple
    expected: frozenset[int] = frozenset()

    def capture(self) -> Snapshot:
        """Return an owned copy of where the model stands.

        Half-precision variables are copied to float32, so that displacements keep their digits.

        Raises:
            LeafError: a variable became trainable after tracking began.
        """
        new = [v.path for v in self.trainable() if id(v) not in self.expected]
        if new:
            msg = (
                f"Variables {new} became trainable after tracking began. Pass "
                "leaves=lambda name: True to follow frozen variables from the start, or start a "
                "new tracker now."
            )
            raise LeafError(msg)
        return Snapshot(_owned(self.trained), _owned(self.buffers))

    def standing_at(self, params: Params, buffers: Params) -> keras.StatelessScope:
        """Return a scope in which the variables have these values; the live ones stay."""
        values = [(v, params[name]) for name, v in self.trained.items()]
        values += [(v, buffers[name]) for name, v in self.buffers.items()]
        values += [(v, keras.ops.zeros(v.shape, v.dtype)) for v in self.pinned]
        mapping = [(v, keras.ops.cast(value, v.dtype)) for v, value in values]
        return keras.StatelessScope(mapping, collect_losses=True)


def find_leaves(
    model: keras.Model,
    *,
    leaves: Callable[[str], bool] | None,
    own_statistics: Callable[[keras.Layer], bool],
) -> Leaves:
    """Name the leaves of a model.

    Args:
        model: built.
        leaves: leaf name -> whether to follow it; by default the trainable ones.
        own_statistics: whether a layer's moving averages do not enter the loss.

    Raises:
        LeafError: the model is not built, there is nothing to follow, or a leaf is not of real
            floating type.
        UnsupportedError: a layer is a module of PyTorch, or stateful.
    """
    layers = model._flatten_layers()
    if not model.built or not all(one.built or isinstance(one, _NEVER_BUILT) for one in layers):
        msg = (
            f"The model '{model.name}' is not built yet, so it has no variables to follow. Give "
            "it a keras.Input, or call it on a batch, before tracking begins."
        )
        raise LeafError(msg)
    _refuse_layers(layers)
    names = stable_names(model)
    owners = {id(v): layer for layer in layers for v in layer._trainable_variables}
    pinned = [sg.state for layer in layers for sg in layer._seed_generators]
    pinned += [v for one in layers if own_statistics(one) for v in one.non_trainable_variables]
    aside = {id(v) for v in pinned}
    trainable = {id(v) for v in model.trainable_variables}

    def follows(v: keras.Variable) -> bool:
        return id(v) in trainable if leaves is None else leaves(names[id(v)])

    rest = [v for v in model.variables if id(v) not in aside]
    trained = [v for v in rest if id(v) in owners and follows(v)]
    if not trained:
        msg = (
            f"The model '{model.name}' has no variable to follow: all are frozen, leaves= chooses "
            "none, or it has none."
        )
        raise LeafError(msg)
    followed = {id(v) for v in trained}
    return Leaves(
        Layout(_leaf(v, names[id(v)], owners[id(v)]) for v in trained),
        {names[id(v)]: v for v in trained},
        {names[id(v)]: v for v in rest if id(v) not in followed},
        tuple(pinned),
        lambda: model.trainable_variables,
        frozenset(followed | trainable),
    )


def _refuse_layers(layers: Sequence[keras.Layer]) -> None:
    """Refuse layers that would not be measured where they are asked to stand.

    Raises:
        UnsupportedError: there are such layers.
    """
    wrapped = [one.name for one in layers if isinstance(one, keras.layers.TorchModuleWrapper)]
    if wrapped:
        msg = (
            f"The layers {wrapped} are modules of PyTorch (TorchModuleWrapper), which use their "
            "own parameters wherever the model is to be measured. Build them of Keras' layers, or "
            "track the model as a module, by lca_torch.track."
        )
        raise UnsupportedError(msg)
    stateful = [one.name for one in layers if isinstance(one, keras.layers.RNN) and one.stateful]
    if stateful:
        msg = (
            f"The layers {stateful} are stateful: what they keep goes from one batch to the next, "
            "so that the loss depends on the order of the batches. Track a model whose layers have "
            "stateful=False."
        )
        raise UnsupportedError(msg)


def widened(dtype: str) -> str:
    """Return float32 for the half-precision types, the type itself otherwise."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def _owned(variables: Mapping[str, keras.Variable]) -> dict[str, Any]:
    return {name: _comparable(BACKEND.owned(v), v.dtype) for name, v in variables.items()}


def _comparable(value: Any, dtype: str) -> Any:
    # Frameworks do not order truth values, and the core asks whether buffers moved.
    wanted = "uint8" if dtype == "bool" else widened(dtype)
    return value if wanted == dtype else keras.ops.cast(value, wanted)


def _leaf(variable: keras.Variable, name: str, owner: keras.Layer) -> Leaf:
    if not variable.dtype.startswith(("float", "bfloat")):
        msg = f"Leaf '{name}' must be of real floating type, got {variable.dtype}."
        raise LeafError(msg)
    return Leaf(
        name=name,
        shape=variable.shape,
        dtype=variable.dtype,
        layer=name.rpartition("/")[0] or name,
        unit_axis=_unit_axis(owner, variable),
    )


def _unit_axis(owner: keras.Layer, variable: keras.Variable) -> int | None:
    """Return the axis of neurons, channels or embedding rows; None where no single one counts."""
    axes = len(variable.shape)
    if isinstance(owner, keras.layers.Embedding):
        return 0
    if isinstance(owner, keras.layers.EinsumDense) and axes > 2:
        return None
    if axes > 1 and isinstance(owner, _DEPTHWISE):
        return None
    if axes > 1 and isinstance(owner, _TRANSPOSED):
        return axes - 2
    return axes - 1 if axes else None
