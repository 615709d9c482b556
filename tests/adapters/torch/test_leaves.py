"""Leaves carry the framework's own names, once each, and belong to the right layer and unit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import lca_torch
from lca_core.errors import LeafError

LOSS = nn.CrossEntropyLoss()


class Zoo(nn.Module):
    """Tied weights, an unused leaf, a 0-d leaf, an empty leaf, a parameter at the root."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 5)
        self.out = nn.Linear(5, 7, bias=False)
        self.out.weight = self.embed.weight
        self.unused = nn.Linear(3, 2)
        self.temperature = nn.Parameter(torch.tensor(1.5))
        self.empty = nn.Parameter(torch.zeros(0, 3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits of the next token."""
        return self.out(self.embed(tokens)) * self.temperature + self.empty.sum()


@pytest.fixture
def zoo() -> Zoo:
    """The zoo, always with the same weights."""
    torch.manual_seed(2)
    return Zoo()


@pytest.fixture
def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of a token and the next one."""
    drawn = torch.randint(7, (40,), generator=torch.Generator().manual_seed(4))
    return drawn[:-1], drawn[1:]


def step(model: nn.Module, data: tuple[torch.Tensor, torch.Tensor], lr: float = 0.1) -> None:
    """Take one step of plain gradient descent."""
    model.zero_grad()
    LOSS(model(data[0]), data[1]).backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p.sub_(lr * p.grad)


def test_tied_unused_scalar_and_empty_leaves(zoo, tokens):
    """Tied weights count once and list their aliases; unused and empty leaves allocate zero."""
    with lca_torch.track(zoo, LOSS, tokens) as tracker:
        for _ in range(3):
            step(zoo, tokens)
            tracker.step()
    run = tracker.run
    leaves = {leaf.name: leaf for leaf in run.layout.leaves}
    total = {name: values.sum() for name, values in run.total("train").items()}

    assert list(leaves) == [
        "temperature",
        "empty",
        "embed.weight",
        "unused.weight",
        "unused.bias",
    ]
    assert leaves["embed.weight"].aliases == ("out.weight",)
    assert leaves["temperature"].unit_axis is None
    assert leaves["temperature"].layer == "temperature"
    assert total["unused.weight"] == total["unused.bias"] == total["empty"] == 0.0
    assert total["temperature"] != 0.0
    change = run.loss("train")[-1] - run.loss("train")[0]
    assert sum(total.values()) == pytest.approx(change, rel=1e-3)


def test_frozen_leaves_are_left_out_and_unfreezing_later_is_refused(plain, blobs):
    """A frozen leaf is no leaf; when it becomes trainable the error names it and the way out."""
    plain[0].weight.requires_grad_(requires_grad=False)
    tracker = lca_torch.track(plain, LOSS, blobs)
    step(plain, blobs)
    tracker.step()
    plain[0].weight.requires_grad_()
    step(plain, blobs)
    with pytest.raises(LeafError, match=r"\['0.weight'\] became trainable.*leaves="):
        tracker.step()
    plain[0].weight.requires_grad_(requires_grad=False)
    run = tracker.finish()

    assert run.layout.names == ("0.bias", "2.weight", "2.bias")
    assert run.steps == 1


def test_frozen_leaves_can_be_followed_from_the_start(plain, blobs):
    """With leaves=..., a leaf that is frozen at first is followed and allocates zero until then."""
    plain[0].requires_grad_(requires_grad=False)
    tracker = lca_torch.track(plain, LOSS, blobs, leaves=lambda name: True)
    step(plain, blobs)
    tracker.step()
    plain[0].requires_grad_()
    step(plain, blobs)
    tracker.step()
    values = tracker.finish().allocation("train", by="layer").values

    assert values[0, 0] == 0.0
    assert values[1, 0] < 0.0


class Taught(nn.Module):
    """A student and a teacher that is frozen, and moved by hand."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student, self.teacher = nn.Linear(12, 4), nn.Linear(12, 4)
        self.teacher.requires_grad_(requires_grad=False)

    def forward(self, x):
        """Return how far they are apart."""
        return self.student(x) - self.teacher(x)

    def average(self, *, through_data):
        """Move the teacher towards the student."""
        pairs = zip(self.teacher.parameters(), self.student.parameters(), strict=True)
        with torch.no_grad():
            for old, new in pairs:
                (old.data if through_data else old).lerp_(new, 0.3)


@pytest.mark.parametrize("through_data", [False, True])
def test_frozen_parameters_that_are_moved_by_hand_count_as_buffers(blobs, through_data):
    """As of a teacher that averages the student: what its motion does is a term of its own."""
    model = Taught()

    def loss(model):
        return model(blobs[0]).square().mean()

    with lca_torch.track(
        model, lca_torch.BatchLoss(lambda m, b: m(b[0]).square().mean(1)), blobs
    ) as tracker:
        before = copy.deepcopy(model)
        with torch.no_grad():
            for p in model.student.parameters():
                p.mul_(0.9)
        tracker.step()
        still = copy.deepcopy(model)
        model.average(through_data=through_data)
        with torch.no_grad():
            model.student.bias.add_(0.1)
        tracker.step()
    run, halfway = tracker.run, copy.deepcopy(still)
    halfway.teacher.load_state_dict(model.teacher.state_dict())
    assert run.loss("train") == pytest.approx([loss(m).item() for m in (before, still, model)])
    moved = (loss(halfway) - loss(still)).item()
    assert run.buffers("train") == pytest.approx([0.0, moved], rel=1e-4)
    assert abs(run.gap("train")).max() < 1e-6
    assert run.evaluations("train")[0] < run.evaluations("train")[1]


def test_parameters_that_are_new_are_refused_as_such(plain, blobs):
    """Nobody is told to follow from the start what was not there."""
    tracker = lca_torch.track(plain, LOSS, blobs, leaves=lambda name: True)
    plain.append(nn.Linear(4, 4))
    with pytest.raises(LeafError, match=r"\['3.weight', '3.bias'\] are new .* new tracker"):
        tracker.step()


def test_trainable_leaves_that_are_not_followed_count_as_buffers(plain, blobs):
    """With leaves=..., the others' share of the loss change is a term of its own, and books close.

    It is the change with the followed leaves where they were, seen from outside.
    """
    tracker = lca_torch.track(plain, LOSS, blobs, leaves=lambda name: name.startswith("2."))
    before = copy.deepcopy(plain)
    step(plain, blobs)
    tracker.step()
    run = tracker.finish()
    halfway = copy.deepcopy(plain)
    halfway[2].load_state_dict(before[2].state_dict())
    losses = [LOSS(model(blobs[0]), blobs[1]).item() for model in (before, halfway, plain)]

    assert run.layout.names == ("2.weight", "2.bias")
    assert run.loss("train").tolist() == pytest.approx([losses[0], losses[2]], rel=1e-6)
    assert run.buffers("train")[0] == pytest.approx(losses[1] - losses[0], rel=1e-4)
    allocated = run.allocation("train").values.sum()
    assert allocated == pytest.approx(losses[2] - losses[1], rel=1e-2)
    assert run.status("train")[0] == 0


@pytest.mark.parametrize(
    ("model", "words"),
    [(lambda x: x, "torch.nn.Module, got function"), (nn.LazyLinear(4), r"call the model once")],
)
def test_a_model_is_a_module_that_exists(blobs, model, words):
    """A function has no leaves, and a lazy module has none yet."""
    with pytest.raises(LeafError, match=words):
        lca_torch.track(model, LOSS, blobs)


def test_nothing_to_follow_is_an_error(plain, blobs):
    """A model with everything frozen is refused."""
    plain.requires_grad_(requires_grad=False)
    with pytest.raises(LeafError, match="no parameter to follow"):
        lca_torch.track(plain, LOSS, blobs)


def test_a_leaf_that_changes_shape_is_refused_and_the_record_kept(plain, blobs):
    """Replacing a parameter by one of another shape names the leaf and both shapes."""
    tracker = lca_torch.track(plain, LOSS, blobs)
    step(plain, blobs)
    tracker.step()
    plain[2].weight = nn.Parameter(torch.zeros(4, 9))
    with pytest.raises(LeafError, match=r"'2.weight'.*\(4, 8\).*\(4, 9\)"):
        tracker.step()

    assert tracker.finish().steps == 1


def test_a_leaf_that_changes_its_type_is_refused_and_the_record_kept(plain, blobs):
    """A model that is converted in the middle is another: the error names leaf and types."""
    tracker = lca_torch.track(plain, LOSS, blobs)
    step(plain, blobs)
    tracker.step()
    plain.double()
    with pytest.raises(LeafError, match=r"'0.weight' was of torch.float32 .* torch.float64 now"):
        tracker.step()
    plain.float()
    assert tracker.finish().steps == 1


def test_wrappers_are_stripped(plain, blobs):
    """torch.compile and DataParallel change nothing: same names, same numbers."""

    def run(wrap):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4))
        tracker = lca_torch.track(wrap(model), LOSS, blobs)
        step(model, blobs)
        tracker.step()
        return tracker.finish()

    def compiled_inside(model: nn.Sequential) -> nn.Sequential:
        model[0] = torch.compile(model[0], backend="eager")
        return model

    bare = run(lambda model: model)
    for wrap in (lambda m: torch.compile(m, backend="eager"), nn.DataParallel, compiled_inside):
        wrapped = run(wrap)
        assert wrapped.layout.names == bare.layout.names
        assert wrapped.layout.labels("layer") == ("0", "2")
        np.testing.assert_array_equal(wrapped.rows["allocation"], bare.rows["allocation"])


@pytest.mark.parametrize(
    ("module", "axes", "layers"),
    [
        (nn.Conv2d(3, 5, 2), {"weight": 0, "bias": 0}, ["m"]),
        (nn.ConvTranspose2d(3, 5, 2), {"weight": 1, "bias": 0}, ["m"]),
        (nn.ConvTranspose2d(4, 6, 2, groups=2), {"weight": None, "bias": 0}, ["m"]),
        (nn.LayerNorm(4), {"weight": 0, "bias": 0}, ["m"]),
        (nn.LSTM(2, 3, 2, bidirectional=True), {"weight_ih_l0": 0}, ["m.l0", "m.l0_reverse"]),
    ],
)
def test_layers_and_unit_axes(module, axes, layers):
    """Units are output channels or neurons; stacked recurrent layers are layers of their own."""
    from lca_torch.parameters import find_leaves

    found = find_leaves(nn.ModuleDict({"m": module}), leaves=None, without_buffers_of=())
    leaves = {leaf.name: leaf for leaf in found.layout.leaves}

    assert {name: leaves[f"m.{name}"].unit_axis for name in axes} == axes
    assert list(found.layout.labels("layer"))[: len(layers)] == layers


def test_half_precision_leaves_keep_float32_displacements(blobs):
    """bfloat16 parameters are followed in float32; the oracle runs in their own type."""
    torch.manual_seed(0)
    model = nn.Linear(12, 4).to(torch.bfloat16)
    data = blobs[0].to(torch.bfloat16), blobs[1]
    tracker = lca_torch.track(model, LOSS, data)
    for _ in range(3):
        step(model, data, lr=0.5)
        tracker.step()
    run = tracker.finish()

    assert run.layout.leaves[0].dtype == "bfloat16"
    assert run.total("train")["weight"].dtype == np.float64
    assert tracker._state.snapshot.params["weight"].dtype == torch.float32
    assert run.config["eps"]["train"] == torch.finfo(torch.bfloat16).eps
    change = run.loss("train")[-1] - run.loss("train")[0]
    assert run.allocation("train").values.sum() == pytest.approx(change, rel=0.05)


def test_snapshots_are_owned(plain, blobs):
    """In-place updates of the live parameters never reach into a snapshot."""
    tracker = lca_torch.track(plain, LOSS, blobs)
    held = tracker._state.snapshot.params["0.weight"]
    kept = held.clone()
    with torch.no_grad():
        plain[0].weight.zero_()

    assert torch.equal(held, kept)
