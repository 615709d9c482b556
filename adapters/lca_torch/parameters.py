"""A model's parameters as named leaves, and owned snapshots of them."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import nn
from torch.nn.parameter import UninitializedParameter

from lca_core import Layout, Leaf, Snapshot
from lca_core.errors import LeafError
from lca_core.packed import Packed
from lca_torch.members import Members
from lca_torch.packing import TorchPacking
from lca_torch.untouched import normal_mode

if TYPE_CHECKING:
    from collections.abc import Callable

_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_RECURRENT = re.compile(r"(?:weight|bias)_(?:ih|hh|hr)_(l\d+(?:_reverse)?)")
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def check_model(model: Any) -> None:
    """Raise a `LeafError` unless this is a module with parameters that exist already."""
    if not isinstance(model, nn.Module):
        msg = f"The model must be a torch.nn.Module, got {type(model).__name__}."
        raise LeafError(msg)
    lazy = [key for key, one in model.named_parameters() if isinstance(one, UninitializedParameter)]
    if lazy:
        msg = f"Parameters {lazy} have no shape yet: call the model once before it is tracked."
        raise LeafError(msg)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the user's own module under `torch.compile`, `DataParallel` and DDP."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        name = "module" if isinstance(model, parallel) else "_orig_mod"
        inner = getattr(model, name, None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def clean(key: str) -> str:
    """Return a parameter's name without the wrappers' parts."""
    return _WRAPPERS.sub("", key)


@frozen
class Leaves:
    """Which parameters of a model are leaves, and under which names.

    Args:
        model: the user's own module, unwrapped.
        keys: leaf name -> the model's key of it.
        layout: the leaves, in the model's order.
        buffers: keys of what else the loss depends on and training moves: buffers, and trainable
            parameters that are not followed.
        frozen: keys of the parameters that train in none of these ways; a teacher's may be moved by
            hand.
    """

    model: nn.Module
    keys: dict[str, str]
    layout: Layout
    buffers: tuple[str, ...]
    frozen: tuple[str, ...] = ()

    @cached_property
    def packing(self) -> TorchPacking:
        """How the leaves lie in a snapshot."""
        return TorchPacking.of(self.layout.leaves)

    def capture(self) -> Snapshot:
        """Return an owned copy of where the model stands.

        Half-precision parameters are copied to float32, so that displacements keep their digits.

        Raises:
            LeafError: a parameter disappeared, has another type, or became trainable after tracking
                began.
        """
        members = Members.of(self.model)
        live = members.parameters
        self._refuse_new(live)
        params = {name: live[key] for name, key in self.keys.items() if key in live}
        self.layout.check(params)
        self._refuse_types(params)
        with normal_mode(), torch.no_grad():
            copied = Packed.of(params, self.packing)
            others = {**members.buffers, **live}
            buffers = {key: others[key].detach().clone() for key in self.buffers if key in others}
            buffers |= _signs([live[key] for key in self.frozen if key in live])
        return Snapshot(copied, buffers)

    @cached_property
    def _types(self) -> list[tuple[str, torch.dtype]]:
        """Name and type of every leaf."""
        return [(leaf.name, getattr(torch, leaf.dtype)) for leaf in self.layout.leaves]

    def _refuse_types(self, params: dict[str, nn.Parameter]) -> None:
        for name, dtype in self._types:
            if params[name].dtype is not dtype:
                msg = (
                    f"Leaf '{name}' was of {dtype} when tracking began and is of "
                    f"{params[name].dtype} now. Convert the model before, or start a new tracker."
                )
                raise LeafError(msg)

    def _refuse_new(self, live: dict[str, nn.Parameter]) -> None:
        known = {*self.keys.values(), *self.buffers}
        new = [key for key, p in live.items() if p.requires_grad and key not in known]
        unfrozen = [clean(key) for key in new if key in self.frozen and _ordered(live[key])]
        added = [clean(key) for key in new if key not in self.frozen]
        if added:
            msg = (
                f"Parameters {added} are new in the model since tracking began. Start a new "
                "tracker when the model's structure changes."
            )
            raise LeafError(msg)
        if unfrozen:
            msg = (
                f"Parameters {unfrozen} became trainable after tracking began. Pass "
                "leaves=lambda name: True to track() to follow frozen parameters from the start, "
                "or start a new tracker now."
            )
            raise LeafError(msg)


def find_leaves(
    model: nn.Module,
    *,
    leaves: Callable[[str], bool] | None,
    without_buffers_of: tuple[type[nn.Module], ...],
) -> Leaves:
    """Name the leaves of a model.

    Args:
        model: unwrapped.
        leaves: leaf name -> whether to follow it; by default those that require a gradient.
            Others of these count as buffers do.
        without_buffers_of: modules whose buffers the loss does not depend on.

    Raises:
        LeafError: there is nothing to follow, or a leaf is not of real floating type.
    """
    names_of: dict[int, list[str]] = defaultdict(list)
    for key, parameter in model.named_parameters(remove_duplicate=False):
        names_of[id(parameter)].append(key)
    members = Members.of(model)
    keys: dict[str, str] = {}
    found: list[Leaf] = []
    left_out: list[str] = []
    for key, parameter in members.parameters.items():
        name = clean(key)
        if not (parameter.requires_grad if leaves is None else leaves(name)):
            left_out += [key] if parameter.requires_grad and _ordered(parameter) else []
            continue
        if not parameter.is_floating_point():
            msg = (
                f"Leaf '{name}' must be of real floating type, got {parameter.dtype}. Leave it out "
                f"by leaves=lambda name: name != '{name}': what it does is then in the gap."
            )
            raise LeafError(msg)
        keys[name] = key
        aliases = tuple(clean(other) for other in names_of[id(parameter)] if other != key)
        found.append(_leaf(model, key, parameter, aliases))
    if not found:
        msg = (
            "The model has no parameter to follow: all are frozen, leaves= chooses none, or it has "
            "none."
        )
        raise LeafError(msg)
    buffers = (*_buffers(members, without_buffers_of), *left_out)
    frozen = tuple(key for key in members.parameters if key not in {*keys.values(), *left_out})
    return Leaves(model, keys, Layout(found), buffers, frozen)


def _signs(frozen: list[nn.Parameter]) -> dict[str, torch.Tensor]:
    """Return by what it is seen that frozen parameters moved, under names that no buffer has.

    Copies of them could be larger than all else. In-place updates count a version up; those that
    go through `.data` do not, and move the last element too if they are an average's.
    """
    if not frozen:
        return {}
    home = frozen[0].device
    versions = [0 if one.is_inference() else one._version for one in frozen]
    ends = [_last(one.detach()) for one in frozen if _ordered(one) and one.numel()]
    return {
        "(frozen: versions)": torch.tensor(versions, device=home),
        "(frozen: last elements)": torch.cat(
            [torch.zeros(0, device=home), *(end.to(home, torch.float32) for end in ends)]
        ),
    }


def _last(tensor: torch.Tensor) -> torch.Tensor:
    """Return the last element, shape (1,): where strides differ, `reshape` would copy all."""
    return tensor[(-1,) * tensor.dim()].reshape(1)


def _leaf(model: nn.Module, key: str, parameter: nn.Parameter, aliases: tuple[str, ...]) -> Leaf:
    owner_key, _, own_name = key.rpartition(".")
    layer = clean(key).rpartition(".")[0] or clean(key)
    owner = dict(model.named_modules())[owner_key]
    recurrent = _RECURRENT.fullmatch(own_name)
    if isinstance(owner, nn.RNNBase) and recurrent:
        layer = f"{layer}.{recurrent[1]}"
    return Leaf(
        name=clean(key),
        shape=parameter.shape,
        dtype=str(parameter.dtype).removeprefix("torch."),
        layer=layer,
        unit_axis=_unit_axis(owner, own_name, parameter),
        aliases=aliases,
    )


def _unit_axis(owner: nn.Module, own_name: str, parameter: nn.Parameter) -> int | None:
    """Return the axis of neurons, channels or embedding rows."""
    if parameter.dim() == 0:
        return None
    if isinstance(owner, _TRANSPOSED) and own_name == "weight":
        # (in, out / groups, ...): with groups, no single axis counts the output channels.
        return 1 if owner.groups == 1 else None
    return 0


def _buffers(members: Members, without: tuple[type[nn.Module], ...]) -> tuple[str, ...]:
    left_out = {
        id(buffer)
        for module in members.modules
        if isinstance(module, without)
        for buffer in module.buffers(recurse=False)
    }
    return tuple(
        key
        for key, buffer in members.buffers.items()
        if id(buffer) not in left_out and _ordered(buffer)
    )


def _ordered(buffer: torch.Tensor) -> bool:
    """Whether two values can be compared; what cannot, as complex or sparse, counts as constant."""
    if buffer.layout != torch.strided:
        return False
    try:
        torch.zeros(1, dtype=buffer.dtype, device=buffer.device).lt(0)
    except RuntimeError:  # as of complex numbers, and of types that only store
        return False
    return True
