"""A partition of the data in PyTorch: every group a measure, in one pass over all examples."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lca_torch
from lca_core import SIMPSON, Fixed, Partition
from lca_core.errors import DataError, LossError, RuleError

WEIGHTED = nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 2.0, 1.5]))


class Pairs(Dataset):
    """A map-style data set that reads one example at a time."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def trained(model, data, blobs, loss_fn=WEIGHTED, **options):
    """Return the run of five steps of gradient descent."""
    x, y = blobs
    torch.manual_seed(0)
    for p in model.parameters():
        nn.init.normal_(p, std=0.3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    options = {"integrator": Fixed(SIMPSON), **options}
    with lca_torch.track(model, loss_fn, data, **options) as tracker:
        for _ in range(5):
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
            tracker.step()
    return tracker.run


@pytest.mark.parametrize("form", [tuple, lambda pair: TensorDataset(*pair), lambda p: Pairs(*p)])
def test_the_whole_is_the_data_undivided(plain, blobs, form):
    """Tensors and data sets, with class weights: loss, allocation and totals are the plain ones."""
    split = trained(plain, Partition(form(blobs), by=blobs[1]), blobs)
    undivided = trained(plain, blobs, blobs)
    assert split.measures == ("train", *(f"train/class={c}" for c in range(4)))
    np.testing.assert_allclose(split.loss("train"), undivided.loss("train"), rtol=1e-7)
    for name, total in undivided.total("train").items():
        np.testing.assert_allclose(split.total("train")[name], total, rtol=1e-4, atol=1e-6)
    weights = WEIGHTED.weight.double()[blobs[1]]
    for c in range(4):
        share = float(weights[blobs[1] == c].sum() / weights.sum())
        assert split.parts("train")[f"train/class={c}"] == pytest.approx(share, rel=1e-6)


def weighs_unseen(outputs, labels):
    """Return a mean with class weights that nobody can see from outside."""
    return nn.functional.cross_entropy(outputs, labels, weight=WEIGHTED.weight)


class Weighs(nn.Module):
    """Weighs classes in its mean, but not where it is asked for single examples."""

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, outputs, labels):
        """Return the loss."""
        losses = nn.functional.cross_entropy(outputs, labels, reduction="none")
        if self.reduction == "none":
            return losses
        return (losses * WEIGHTED.weight[labels]).sum() / WEIGHTED.weight[labels].sum()


@pytest.mark.parametrize("loss_fn", [weighs_unseen, Weighs()])
@pytest.mark.parametrize("form", [tuple, lambda pair: Pairs(*pair)])
def test_weights_that_are_equal_inside_every_part_are_refused(plain, blobs, loss_fn, form):
    """Inside a class a weighted mean is a plain one; across classes it is seen."""
    with pytest.raises(LossError, match="weighs them"):
        lca_torch.track(plain, loss_fn, Partition(form(blobs), by=blobs[1]))


@pytest.mark.parametrize("form", [tuple, lambda pair: Pairs(*pair)])
def test_a_rare_class_counts_in_what_is_looked_at(plain, blobs, form):
    """Two examples that weigh a little more, among many of another class, are seen."""
    x, y = blobs
    few, many = (y == 1).nonzero()[:2, 0], (y == 0).nonzero()[:1, 0].repeat(900)
    x, y = (part[torch.cat([many, few])] for part in (x, y))

    def weighs_little(outputs, labels):
        weight = torch.tensor([1.0, 1.01, 1.0, 1.0])
        return nn.functional.cross_entropy(outputs, labels, weight=weight)

    with pytest.raises(LossError, match="weighs them"):
        lca_torch.track(plain, weighs_little, Partition(form((x, y)), by=y))


def test_a_single_part_has_nothing_beside_it(plain, blobs):
    """A partition into one group is the data as they are."""
    run = lca_torch.track(
        plain, nn.CrossEntropyLoss(), Partition(blobs, lambda d: [0] * len(d[1]))
    ).finish()
    whole = lca_torch.track(plain, nn.CrossEntropyLoss(), blobs).finish()

    assert run.loss("train") == pytest.approx(whole.loss("train"))


def test_parts_are_the_losses_of_their_examples(plain, blobs):
    """A class's loss is the mean over its own examples, by whatever function labels them."""
    x, y = blobs
    run = trained(
        plain, {"train": blobs, "val": Partition(blobs, lambda d: d[1] % 2, "odd")}, blobs
    )
    assert run.measures == ("train", "val", "val/odd=0", "val/odd=1")
    with torch.no_grad():
        for odd in (0, 1):
            chosen = y % 2 == odd
            truth = WEIGHTED(plain(x[chosen]), y[chosen])
            assert run.loss(f"val/odd={odd}")[-1] == pytest.approx(float(truth), rel=1e-5)


def test_what_cannot_be_picked_is_refused(plain, blobs):
    """Loaders, too few labels, and batch statistics are errors that say what to pass."""
    loader = DataLoader(TensorDataset(*blobs), batch_size=10)
    with pytest.raises(DataError, match=r"got DataLoader\. For a DataLoader, pass its `dataset`"):
        lca_torch.track(plain, WEIGHTED, Partition(loader, by=blobs[1]))
    with pytest.raises(DataError, match="101 examples, 100 labels"):
        lca_torch.track(plain, WEIGHTED, Partition(blobs, by=blobs[1][1:]))
    with pytest.raises(RuleError, match="needs mode='eval'"):
        lca_torch.track(plain, WEIGHTED, Partition(blobs, by=blobs[1]), mode="batch-stats")


def test_moving_averages_have_their_share(noisy, blobs):
    """With batch norm the buffers' part of the whole is the weighted sum too."""
    noisy.train()
    loss_fn = nn.CrossEntropyLoss()
    split = trained(noisy, Partition(blobs, by=blobs[1]), blobs, loss_fn)
    sums = sum(share * split.buffers(part) for part, share in split.parts("train").items())
    assert np.abs(sums).max() > 1e-4
    np.testing.assert_allclose(split.buffers("train"), sums, rtol=1e-9, atol=1e-12)
    change = np.diff(split.loss("train"))
    allocated = split.allocation("train").values.sum(1)
    np.testing.assert_allclose(allocated + sums + split.gap("train"), change, atol=1e-9)
