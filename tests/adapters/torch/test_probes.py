"""Samples in the place of the full data, in PyTorch."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lca_torch
from lca_core import MIDPOINT, RIGHT, Fixed, FixedProbe, Redrawn, Status, load
from lca_core.errors import DataError, RuleError
from lca_core.probes import lots
from lca_core.summary import closure

N = 200
GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(N, 5, generator=GENERATOR)
Y = (X[:, :3] + torch.randn(N, 3, generator=GENERATOR)).argmax(dim=1)
LOSS = nn.CrossEntropyLoss()
WEIGHTED = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64))


def network(*extra):
    """Return a small network in float64."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), *extra, nn.Tanh(), nn.Linear(4, 3)).double()


def trained(data, model=None, loss_fn=LOSS, steps=6, begin=0, **options):
    """Return the run of a short training, and the trained model."""
    model = model or network()
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    x, y = X.double(), Y
    with lca_torch.track(model, loss_fn, data, **options) as tracker:
        for t in range(begin, steps):
            LOSS(model(x[t * 20 : t * 20 + 20]), y[t * 20 : t * 20 + 20]).backward()
            optimizer.step()
            optimizer.zero_grad()
            tracker.step()
    return tracker.run, model


DATA = (X.double(), Y)


@pytest.mark.parametrize("by", [None, Y])
def test_a_step_is_what_the_full_mode_finds_on_its_sample(by):
    """Every step's allocation and counts are those of the examples drawn for it."""
    probe, rule = Redrawn(DATA, 40, by=by), Fixed(MIDPOINT)
    run, _ = trained(probe)
    places = lots(probe, N)
    for t in (0, 4):
        here = places.at(t).ravel()
        alone, _ = trained((DATA[0][here], Y[here]), integrator=rule)
        for name in ("allocation", "helped", "unit_allocation"):
            np.testing.assert_allclose(
                run.rows[name][t], alone.rows[name][t], rtol=1e-9, atol=1e-13, err_msg=name
            )
        for k, row in enumerate(places.at(t)):
            part, _ = trained((DATA[0][row], Y[row]), integrator=rule)
            np.testing.assert_allclose(
                run.rows["subsample_allocation"][t, 0, :, k],
                part.rows["allocation"][t, 0],
                rtol=1e-9,
            )


def test_chunks_do_not_matter():
    """Subsamples cut into batches, and batches of many subsamples, give the same."""
    whole, _ = trained(Redrawn(DATA, 60, subsamples=3))
    cut, _ = trained(Redrawn(DATA, 60, subsamples=3), batch_size=7)
    for name in ("loss", "allocation", "subsample_allocation"):
        np.testing.assert_allclose(whole.rows[name], cut.rows[name], rtol=1e-9, atol=1e-14)


def test_weighted_losses_are_estimated_without_bias():
    """Class weights: a sample is divided by its expected weight, so that samples average to L."""
    model = network()
    options = {"model": model, "loss_fn": WEIGHTED, "integrator": Fixed(MIDPOINT)}
    exact, _ = trained(DATA, **{**options, "model": copy.deepcopy(model)})
    everything, _ = trained(Redrawn(DATA, N), **{**options, "model": copy.deepcopy(model)})
    np.testing.assert_allclose(
        everything.allocation("train").values, exact.allocation("train").values, rtol=1e-9
    )
    z = []
    for seed in range(60):
        run, _ = trained(Redrawn(DATA, 20, seed=seed), **{**options, "model": copy.deepcopy(model)})
        off = run.allocation("train").values.sum(0) - exact.allocation("train").values.sum(0)
        z.append(off / np.sqrt((run.standard_error("train").values ** 2).sum(0)))
    assert np.abs(np.mean(z, axis=0) * np.sqrt(60)).max() < 3.6
    assert (np.abs(z) < 1.96).sum(axis=0).min() >= 50


def test_examples_that_weigh_nothing_are_refused():
    """There is no mean to estimate; said at the start, not by a division at the first step."""
    nothing = nn.CrossEntropyLoss(weight=torch.zeros(3, dtype=torch.float64))
    with pytest.raises(DataError, match=r"'train' weigh 0\.0 together"):
        lca_torch.track(network(), nothing, Redrawn(DATA, 20))


def test_a_weighted_sample_is_divided_by_its_expected_weight():
    """Dividing by the sample's own weight would make a ratio, which is biased."""
    run, model = trained(Redrawn(DATA, 20, rule=RIGHT), loss_fn=WEIGHTED, steps=1)
    here = lots(Redrawn(DATA, 20), N).at(0).ravel()
    weight = WEIGHTED.weight[Y].mean()
    losses = nn.functional.cross_entropy(
        model(DATA[0][here]), Y[here], WEIGHTED.weight, reduction="sum"
    )
    assert run.loss("train")[-1] == pytest.approx(float(losses.detach() / (20 * weight)), rel=1e-12)


def test_training_is_bit_for_bit_what_it_is_untracked():
    """Dropout and batch norm in the model: parameters, buffers and random stream stay the same."""
    layers = nn.BatchNorm1d(4), nn.Dropout(0.5)
    ends = []
    for probe in (DATA, Redrawn(DATA, 40)):
        torch.manual_seed(1)
        _, model = trained(probe, network(*copy.deepcopy(layers)))
        ends.append((model.state_dict(), torch.get_rng_state()))
    (state, stream), (other, others) = ends
    assert torch.equal(stream, others)
    assert all(torch.equal(state[key], other[key]) for key in state)


def test_moving_buffers_are_booked_apart():
    """With batch norm, what the buffers did is what the full mode finds on the step's sample."""
    probe = Redrawn(DATA, 40)
    run, _ = trained(probe, network(nn.BatchNorm1d(4)))
    here = lots(probe, N).at(3).ravel()
    alone, _ = trained(
        (DATA[0][here], Y[here]), network(nn.BatchNorm1d(4)), integrator=Fixed(MIDPOINT)
    )
    for name in ("buffers", "allocation"):
        np.testing.assert_allclose(run.rows[name][3], alone.rows[name][3], rtol=1e-9, atol=1e-13)
    np.testing.assert_array_equal(run.evaluations("train"), 3.0)


def test_a_resumed_run_draws_what_it_would_have_drawn(tmp_path):
    """Bit for bit, from the step at which it was broken off."""
    whole, _ = trained(Redrawn(DATA, 40))
    _, model = trained(Redrawn(DATA, 40), steps=3, path=tmp_path / "run.zarr")
    trained(Redrawn(DATA, 40), model, begin=3, path=tmp_path / "run.zarr", resume=True)
    again = load(tmp_path / "run.zarr")
    for name, values in whole.rows.items():
        np.testing.assert_array_equal(again.rows[name], values, err_msg=name)


def test_a_fixed_probe_is_the_measure_of_a_subset():
    """It closes its books on its own loss, and the run says of how many it is."""
    probe = FixedProbe(DATA, 50, by=Y)
    run, _ = trained({"train": probe, "val": DATA})
    here = lots(probe, N).once()
    alone, _ = trained((DATA[0][here], Y[here]))
    np.testing.assert_array_equal(run.rows["loss"][:, 0], alone.rows["loss"][:, 0])
    assert (run.status("train") == Status.OK).all()
    assert "on a fixed probe of 50 of 200 examples" in closure(run, "train")
    assert run.config["data"]["train"]["examples"] == 50


@pytest.mark.parametrize("kind", [FixedProbe, Redrawn])
def test_data_sets_and_dicts_can_be_sampled(kind):
    """Tensors, arrays, dicts' values in a measure, and map-style data sets give the same."""
    forms = (DATA, TensorDataset(*DATA), (DATA[0].numpy(), Y.numpy()), Rows())
    runs = [trained(kind(form, 40))[0] for form in forms]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.rows["allocation"], runs[0].rows["allocation"])


class Rows(torch.utils.data.Dataset):
    """A map-style data set."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return DATA[0][i], Y[i]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (Redrawn(DATA, 400), DataError, "400 examples was asked for.*hold 200"),
        (FixedProbe(DATA, 400), DataError, "400 examples was asked for.*hold 200"),
        (FixedProbe(DataLoader(Rows()), 40), DataError, "pass its `dataset`"),
        (Redrawn(DATA, 40, by=Y[:7]), DataError, "200 examples, 7 labels"),
    ],
)
def test_what_cannot_be_sampled_is_refused(data, error, words):
    """The error says what to pass."""
    with pytest.raises(error, match=words):
        trained(data)


def test_batch_statistics_cannot_be_sampled():
    """A sample's own statistics make another loss: refused."""
    with pytest.raises(RuleError, match="redrawn probe needs mode='eval'"):
        trained(Redrawn(DATA, 40), network(nn.BatchNorm1d(4)), mode="batch-stats")


def test_streamed_data_cannot_be_redrawn(monkeypatch):
    """What does not fit into memory is not picked from."""
    monkeypatch.setattr("lca_torch.data._room", lambda _: 0.0)
    with pytest.raises(DataError, match="must fit into memory"):
        trained(Redrawn(Rows(), 40))
