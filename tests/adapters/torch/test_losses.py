"""The loss is the mean that the user means, weights and ignored targets included."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lca_core
import lca_torch
from lca_core import Redrawn
from lca_core.errors import LossError, RuleError

WEIGHT = torch.tensor([0.1, 1.0, 2.0, 5.0])


def classes(targets: torch.Tensor) -> torch.Tensor:
    """Return the labels with every fifth one ignored."""
    return targets.where(torch.arange(len(targets)) % 5 != 0, -100)


CASES: dict[str, tuple[Any, Any]] = {
    "cross-entropy": (nn.CrossEntropyLoss(), lambda y: y),
    "class weights": (nn.CrossEntropyLoss(weight=WEIGHT), lambda y: y),
    "ignored targets": (nn.CrossEntropyLoss(), classes),
    "both, smoothed": (nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2), classes),
    "functional": (F.cross_entropy, lambda y: y),
    "functional, weighted": (functools.partial(F.cross_entropy, weight=WEIGHT), classes),
    "probabilities": (nn.CrossEntropyLoss(), lambda y: F.one_hot(y, 4).float() * 0.9 + 0.025),
    "multi-margin": (nn.MultiMarginLoss(), lambda y: y),
    "squares": (nn.MSELoss(), lambda y: F.one_hot(y, 4).float()),
    "huber": (F.smooth_l1_loss, lambda y: F.one_hot(y, 4).float()),
    "batchmean": (
        nn.KLDivLoss(reduction="batchmean"),
        lambda y: F.one_hot(y, 4).float() * 0.9 + 0.025,
    ),
    "binary": (nn.BCEWithLogitsLoss(pos_weight=WEIGHT), lambda y: F.one_hot(y, 4).float()),
    "own mean": (lambda out, y: 1.0 * F.cross_entropy(out, y), lambda y: y),
    "own vector": (lambda out, y: F.cross_entropy(out, y, reduction="none"), lambda y: y),
    "own square": (lambda out, y: (out - y).square(), lambda y: F.one_hot(y, 4).float()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [101, 10])
def test_loss_and_gradient_are_those_of_one_big_batch(plain, blobs, case, size):
    """Cut into chunks, a mean-reducing loss is still the user's own loss over all the data."""
    loss_fn, targets = CASES[case]
    inputs, labels = blobs[0], targets(blobs[1])
    truth = loss_fn(plain(inputs), labels).mean()
    gradient = torch.autograd.grad(truth, list(plain.parameters()))
    tracker = lca_torch.track(plain, loss_fn, (inputs, labels), batch_size=size)
    found = tracker._state.evaluations["train"]

    assert float(found.loss) == pytest.approx(truth.item(), rel=1e-6)
    for expected, got in zip(gradient, found.gradient.values(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_general_form_with_weights_is_a_weighted_mean(plain, blobs):
    """BatchLoss may return (losses, weights): L is Σ w·l / Σ w over all the data."""
    weights = torch.rand(101)

    def fn(model: Any, batch: Any) -> Any:
        x, y, w = batch
        return F.cross_entropy(model(x), y, reduction="none"), w

    run = lca_torch.track(plain, lca_torch.BatchLoss(fn), (*blobs, weights), batch_size=10).finish()
    losses = F.cross_entropy(plain(blobs[0]), blobs[1], reduction="none")

    assert run.loss("train")[0] == pytest.approx(
        ((losses * weights).sum() / weights.sum()).item(), rel=1e-6
    )


@pytest.mark.parametrize("probe", [lambda data: data, lambda data: Redrawn(data, 20)])
def test_weights_that_move_with_the_parameters_are_refused(plain, blobs, probe):
    """What such weights divide by moves too, and the gradient would not know."""

    def fn(model: Any, batch: Any) -> Any:
        logits = model(batch[0])
        return F.cross_entropy(logits, batch[1], reduction="none"), logits.square().sum(1)

    with pytest.raises(LossError, match=r"weights .* depend on the parameters.*detach"):
        lca_torch.track(plain, lca_torch.BatchLoss(fn), probe(blobs))

    def steady(model: Any, batch: Any) -> Any:
        losses, weights = fn(model, batch)
        return losses, weights.detach()

    lca_torch.track(plain, lca_torch.BatchLoss(steady), probe(blobs))


@pytest.mark.parametrize(
    "loss_fn",
    [
        nn.CrossEntropyLoss(reduction="sum"),
        functools.partial(F.cross_entropy, reduction="sum"),
        functools.partial(F.cross_entropy, size_average=False),
        lambda out, y: F.cross_entropy(out, y, reduction="sum"),
        lambda out, y: F.cross_entropy(out, y, weight=torch.tensor([0.01, 1.0, 2.0, 50.0])),
        lambda out, y: (out @ out.T).logsumexp(1).mean(),
    ],
    ids=["module sum", "partial sum", "old sum", "hidden sum", "hidden weights", "contrastive"],
)
def test_losses_that_depend_on_the_cut_are_refused(plain, blobs, loss_fn):
    """A sum, a hidden weighted mean or a contrastive loss would make the numbers meaningless."""
    with pytest.raises(LossError, match=r"mean"):
        lca_torch.track(plain, loss_fn, blobs)


class Shifted(nn.CrossEntropyLoss):
    """A language model's loss: every token's logits against the next token."""

    def forward(self, out: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the mean over tokens, or one loss a token."""
        return super().forward(out[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


class OwnMean(nn.CrossEntropyLoss):
    """Averages by itself."""

    def __init__(self) -> None:
        super().__init__(reduction="none")

    def forward(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the mean."""
        return super().forward(out, y).mean()


class Reduced(nn.Module):
    """A loss with a `reduction` of its own.

    Args:
        weighted: "mean" divides by the weights of the examples.
        strict: an unknown reduction is an error, instead of a sum.
    """

    def __init__(self, *, weighted: bool = False, strict: bool = False) -> None:
        super().__init__()
        self.reduction, self.weighted, self.strict = "mean", weighted, strict

    def forward(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return losses or their mean."""
        losses = F.cross_entropy(out, y, reduction="none")
        if self.weighted:
            losses = losses * (y > 1)
            return losses.sum() / (y > 1).sum() if self.reduction == "mean" else losses
        if self.reduction == "mean":
            return losses.mean()
        if self.strict:
            raise ValueError(self.reduction)
        return losses.sum()


def summed(out: torch.Tensor, y: torch.Tensor, reduction: str = "sum") -> torch.Tensor:
    """Return cross-entropy, summed by default."""
    return F.cross_entropy(out, y, reduction=reduction)


SINGLE: dict[str, Any] = {
    "module": nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5, 3.0]), reduction="none"),
    "ignored": nn.CrossEntropyLoss(ignore_index=1, reduction="none"),
    "function": functools.partial(F.cross_entropy, weight=torch.arange(1.0, 5.0), reduction="none"),
}


@pytest.mark.parametrize("case", SINGLE)
def test_losses_that_are_not_reduced_are_averaged_plainly(plain, blobs, case):
    """With reduction="none" L is the mean of what comes, as it is of the same loss in a lambda."""
    loss_fn = SINGLE[case]

    def own(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return loss_fn(out, y)

    truth = loss_fn(plain(blobs[0]), blobs[1]).mean().item()
    for one in (loss_fn, own):
        run = lca_torch.track(plain, one, blobs, batch_size=10).finish()
        assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)


OWN_REDUCTIONS: dict[str, Any] = {
    "averages by itself": OwnMean(),
    "mean or sum": Reduced(),
    "mean or error": Reduced(strict=True),
}


@pytest.mark.parametrize("case", OWN_REDUCTIONS)
def test_a_reduction_that_is_not_pytorchs_is_taken_as_the_user_means_it(plain, blobs, case):
    """Whatever "none" does there, L is the mean that the user's own loss gives of all data."""
    loss_fn = OWN_REDUCTIONS[case]
    tracker = lca_torch.track(plain, loss_fn, blobs, batch_size=10)
    assert tracker.finish().loss("train")[0] == pytest.approx(
        loss_fn(plain(blobs[0]), blobs[1]).item(), rel=1e-6
    )


def test_a_subclass_that_shifts_tokens_is_the_mean_over_shifted_tokens():
    """The weights of cross-entropy are not those of a subclass: all but the first token count."""
    torch.manual_seed(0)
    model, tokens = nn.Embedding(7, 7), torch.randint(7, (40, 5))
    run = lca_torch.track(model, Shifted(), (tokens, tokens), batch_size=7).finish()
    truth = Shifted()(model(tokens), tokens).item()
    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("loss_fn", "mode"),
    [(Reduced(weighted=True), "eval"), (summed, "eval"), (summed, "batch-stats")],
    ids=["weighted", "sum", "sum of batch-stats"],
)
def test_a_reduction_that_is_not_pytorchs_and_no_mean_is_refused(plain, blobs, loss_fn, mode):
    """A focal loss that divides by the positives, and a function that sums by default."""
    with pytest.raises(LossError, match=r"not the mean of the losses of its parts"):
        lca_torch.track(plain, loss_fn, blobs, mode=mode)


class Zero(nn.Linear):
    """A head that begins at zero: all examples have the same loss."""

    def reset_parameters(self) -> None:
        """Set all to zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def test_equal_losses_do_not_hide_weights(blobs):
    """With a head of zeros a weighted mean equals the plain one, until the first step."""
    with pytest.raises(LossError, match="weighs them"):
        lca_torch.track(Zero(12, 4), lambda out, y: F.cross_entropy(out, y, weight=WEIGHT), blobs)


def test_weights_behind_the_first_examples_are_seen(plain, blobs):
    """Targets that only the last examples ignore are found in data of any length."""
    inputs, labels = blobs[0].repeat(10, 1), blobs[1].repeat(10)
    labels[800:] = labels[800:].where(torch.arange(210) % 3 != 0, -100)
    with pytest.raises(LossError, match="weighs them"):
        lca_torch.track(plain, lambda *pair: 1.0 * F.cross_entropy(*pair), (inputs, labels))


def test_a_sum_does_not_hide_behind_a_first_batch_of_one_example(plain, blobs):
    """Of a list of batches of any lengths, the larger ones are looked at."""
    x, y = blobs
    batches = [{"x": x[:1], "y": y[:1]}, {"x": x[1:].double(), "y": y[1:]}]  # not to be joined

    def fn(model: Any, batch: Any) -> torch.Tensor:
        return F.cross_entropy(model(batch["x"].float()), batch["y"], reduction="sum")

    with pytest.raises(LossError, match="sums over"):
        lca_torch.track(plain, lca_torch.BatchLoss(fn), batches)


def test_losses_that_compare_examples_are_refused_in_their_per_example_form_too(plain, blobs):
    """One contrastive loss an example depends on the cut as much as their mean does."""
    with pytest.raises(LossError, match="compares them"):
        lca_torch.track(plain, lambda out, y: (out @ out.T).logsumexp(1), blobs)


def test_wrong_shape_of_losses_is_named(plain, blobs):
    """A loss vector of the wrong length says what was expected and what came."""
    with pytest.raises(LossError, match=r"\(101, \.\.\.\), got shape \(4,\)"):
        lca_torch.track(plain, lambda out, y: out.mean(0), blobs)


def returned(result: Any) -> Any:
    """Return a general loss that returns this of losses, shape (n,)."""
    return lca_torch.BatchLoss(
        lambda model, batch: result(F.cross_entropy(model(batch[0]), batch[1], reduction="none"))
    )


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda losses: {"loss": losses}, "got dict"),
        (lambda losses: [losses, losses], "got list"),
        (lambda losses: losses.mean().item(), "got float"),
        (lambda losses: (losses, 2.0), r"got \(Tensor, float\)"),
        (lambda losses: (losses, torch.ones(len(losses), 1)), r"shape \(\d+,\), got \(\d+, 1\)"),
    ],
    ids=["dict", "list", "float", "float weights", "columns of weights"],
)
def test_what_is_no_loss_is_named(plain, blobs, result, message):
    """What a loss function may return, and what it returned, is in the error."""
    with pytest.raises(LossError, match=message):
        lca_torch.track(plain, returned(result), blobs)


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss, "mse", None])
def test_a_loss_is_something_made_that_can_be_called(plain, blobs, loss_fn):
    """A class without its brackets is the usual slip."""
    with pytest.raises(LossError, match=r"with its brackets"):
        lca_torch.track(plain, loss_fn, blobs)


@pytest.mark.parametrize("autocast", ["bf16", torch.float32])
def test_a_precision_to_measure_in_is_a_lower_one(plain, blobs, autocast):
    """Names of types, and types that are not lower, are refused with those that are."""
    with pytest.raises(RuleError, match=r"torch.bfloat16, torch.float16 or None, got"):
        lca_torch.track(plain, nn.CrossEntropyLoss(), blobs, autocast=autocast)


def test_a_loss_with_trainable_parameters_is_refused_by_their_names(plain, blobs):
    """They would move the loss without a share of its change; frozen ones may stay."""

    class Tempered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heat = nn.Parameter(torch.tensor(2.0))

        def forward(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(out * self.heat, y, reduction="none")

    loss_fn = Tempered()
    for one in (loss_fn, functools.partial(loss_fn)):
        with pytest.raises(LossError, match=r"\['heat'\].*requires_grad_\(False\)"):
            lca_torch.track(plain, one, blobs)
    run = lca_torch.track(plain, loss_fn.requires_grad_(requires_grad=False), blobs).finish()
    truth = F.cross_entropy(plain(blobs[0]) * 2.0, blobs[1]).item()
    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("form", ["short", "general"])
def test_a_loss_that_holds_the_models_parameters_is_refused_by_their_names(plain, blobs, form):
    """A list made beforehand is of the live ones; the model itself knows what stands in."""
    held = [plain[0].weight]

    def regularised(outputs: Any, targets: Any, parameters: Any = held) -> Any:
        return F.cross_entropy(outputs, targets) + 0.1 * sum(p.square().sum() for p in parameters)

    def asking(model: Any, batch: Any) -> Any:
        return regularised(model(batch[0]), batch[1], [model[0].weight])

    loss_fn = {
        "short": regularised,
        "general": lca_torch.BatchLoss(lambda model, batch: sum(map(torch.sum, held))),
    }[form]
    with pytest.raises(LossError, match=r"holds parameters .*'0.weight'.*model.parameters\(\)"):
        lca_torch.track(plain, loss_fn, blobs)
    regularised.__defaults__ = (None,)
    tracker = lca_torch.track(plain, lca_torch.BatchLoss(asking), blobs)
    with torch.no_grad():
        plain[0].weight *= 0.95
    tracker.step()
    assert tracker.finish().status("train").tolist() == [0]


@pytest.mark.parametrize("reduced", [True, False])
def test_losses_that_draw_noise_are_told_apart(blobs, reduced):
    """Of a noisy mean the error says what to do; what it says is then accepted."""

    def fn(model: Any, batch: Any) -> torch.Tensor:
        losses = (model(batch[0] + torch.randn_like(batch[0])) - batch[0]).square().sum(1)
        return losses.mean() if reduced else losses

    model, loss_fn = nn.Linear(12, 12), lca_torch.BatchLoss(fn)
    if reduced:
        with pytest.raises(LossError, match=r"draw noise.*Return per-example losses"):
            lca_torch.track(model, loss_fn, blobs[:1])
    else:
        assert lca_torch.track(model, loss_fn, blobs[:1]).finish().loss("train")[0] > 0


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("by", ["inputs", "parameters"])
def test_losses_may_differentiate_inside(plain, blobs, by, weighted):
    """A gradient penalty is measured, by inputs or by parameters, alone or in a partition."""

    def fn(model: Any, batch: Any) -> Any:
        x = batch[0].requires_grad_() if by == "inputs" else batch[0]
        out = model(x)
        what = [x] if by == "inputs" else list(model.parameters())
        slopes = torch.autograd.grad(out.square().mean(1).sum(), what, create_graph=True)
        losses = F.cross_entropy(out, batch[1], reduction="none")
        if by == "inputs":
            losses = losses + slopes[0].square().sum(1)
        return (losses, torch.ones_like(losses)) if weighted else losses

    data = lca_core.Partition(blobs, by=blobs[1]) if weighted else blobs
    run = lca_torch.track(plain, lca_torch.BatchLoss(fn), data).finish()
    truth = fn(plain, tuple(part.clone() for part in blobs))
    truth = truth[0] if weighted else truth
    assert run.loss("train")[0] == pytest.approx(truth.mean().item(), rel=1e-6)


def test_a_mean_in_bfloat16_is_a_mean_within_its_rounding(plain, blobs):
    """The whole equals its parts up to the digits that the parameters' type has."""
    plain, data = plain.bfloat16(), (blobs[0].bfloat16(), blobs[1])
    run = lca_torch.track(plain, lambda *pair: 1.0 * F.cross_entropy(*pair), data).finish()
    assert run.loss("train")[0] == pytest.approx(
        F.cross_entropy(plain(data[0]), data[1]).item(), rel=0.01
    )


@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize("autocast", [torch.float16, None])
def test_half_precision_does_not_overflow_in_sums(blobs, autocast, reduced):
    """The gradient of a mean is finite and right where that of a sum exceeds 65,504."""
    torch.manual_seed(0)
    model, inputs = nn.Linear(12, 4), 30.0 * blobs[0].abs().repeat(100, 1)
    labels = torch.zeros(len(inputs), dtype=torch.int64)

    def loss_fn(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        losses = F.cross_entropy(out, y, reduction="none")
        return losses.mean() if reduced else losses

    truth = torch.autograd.grad(F.cross_entropy(model(inputs), labels), list(model.parameters()))
    if autocast is None:
        model, inputs = model.half(), inputs.half()
    tracker = lca_torch.track(model, loss_fn, (inputs, labels), autocast=autocast)
    found = tracker._state.evaluations["train"].gradient
    for expected, got in zip(truth, found.values(), strict=True):
        atol = 0.01 * expected.abs().max().item()
        torch.testing.assert_close(got, expected, rtol=0.02, atol=atol)


@pytest.mark.parametrize("sparse", [nn.Embedding, nn.EmbeddingBag])
def test_sparse_gradients_are_those_of_a_dense_table(sparse):
    """An embedding that asks for sparse gradients is allocated like any other."""
    torch.manual_seed(0)
    table, head = sparse(9, 5, sparse=True), nn.Linear(5, 3)
    tokens, labels = torch.randint(8, (40, 1)), torch.randint(3, (40,))
    model = nn.Sequential(table, nn.Flatten(), head)
    tracker = lca_torch.track(model, nn.CrossEntropyLoss(), (tokens, labels), batch_size=10)
    found = tracker._state.evaluations["train"].gradient["0.weight"]
    dense = table.weight.detach().clone().requires_grad_()
    F.cross_entropy(head(dense[tokens[:, 0]]), labels).backward()
    torch.testing.assert_close(found, dense.grad, rtol=1e-5, atol=1e-7)


def test_gradients_that_share_memory_are_added_up_each_by_itself():
    """Autograd hands two leaves one memory: over several chunks, each still gets its own sum."""

    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2, 2))

        def forward(self, x):
            return x @ (self.a.view(4) + self.b.view(4))

    torch.manual_seed(0)
    x = torch.randn(12, 4)
    tracker = lca_torch.track(Shifted(), lambda out, _: out, (x, x), batch_size=3)
    found = tracker._state.evaluations["train"].gradient
    for gradient in found.values():
        torch.testing.assert_close(gradient, x.mean(0).view(2, 2))


def test_in_16_bits_the_gradient_is_divided_by_the_weight_exactly():
    """1 / 1,400 is off by 0.13 % in bfloat16; the mean of 1,400 ones is 1."""
    x = torch.ones(1_400, 1, dtype=torch.bfloat16)
    model = nn.Linear(1, 1, bias=False).bfloat16()
    data = x, torch.zeros(1_400, dtype=torch.int64)
    tracker = lca_torch.track(model, nn.NLLLoss(), data, batch_size=100)
    assert tracker._state.evaluations["train"].gradient["weight"].item() == -1.0


def test_nan_loss_is_recorded_as_nonfinite_and_totals_survive(plain, blobs):
    """A step into NaN is marked; what was recorded before it stays; later steps count again."""
    tracker = lca_torch.track(plain, nn.CrossEntropyLoss(), blobs)
    weight = plain[0].weight
    kept = weight.detach().clone()
    with torch.no_grad():
        for value in (0.9, float("nan"), None, 0.8):
            weight.copy_(kept if value is None else kept * value)
            tracker.step()
    run = tracker.finish()

    assert [int(s) for s in run.status("train")] == [0, 3, 3, 0]
    total = sum(leaf.sum() for leaf in run.total("train").values())
    finite = run.allocation("train").values[[0, 3]].sum()
    assert total == pytest.approx(finite, rel=1e-5)


class Together(nn.Module):
    """Two leaves that are only ever used as their sum, and one that is added up as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.ones(4, 12)), nn.Parameter(torch.zeros(4, 12))
        self.shift = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return outputs, shape (n, 4)."""
        return x @ (self.first + self.second).T + torch.arange(4.0) * self.shift.sum()


@pytest.mark.parametrize("size", [101, 10])
def test_leaves_that_share_their_gradient_do_not_share_its_sum(blobs, size):
    """For a + b autograd returns one tensor twice, for a sum one number many times."""
    model, (inputs, labels) = Together(), blobs
    truth = torch.autograd.grad(F.cross_entropy(model(inputs), labels), list(model.parameters()))
    tracker = lca_torch.track(model, F.cross_entropy, (inputs, labels), batch_size=size)
    found = tracker._state.evaluations["train"].gradient
    for expected, got in zip(truth, found.values(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
