"""How many single helps and hurts may be the other way round."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from lca_core import SIMPSON, Adaptive, Counts, Dense, Fixed, Partition, Status, composite
from lca_core.analyses import doubtful_signs
from lca_core.errors import NotRecordedError
from lca_core.partition import expanded, shares
from lca_core.reference import Perceptron, track
from lca_core.story.certainty import certainty_passage

SIZES, ACTIVATION = (4, 12, 3), "relu"
RNG = np.random.default_rng(3)
Y = RNG.integers(3, size=90)
X = RNG.standard_normal((3, 4))[Y] + RNG.standard_normal((90, 4))
OBSERVERS = [Counts(), Dense()]


def oracle(x=X, y=Y):
    """Return the loss of a small ReLU network."""
    return Perceptron(x, y, SIZES, ACTIVATION)


def pick(data, places, _):
    """Return the loss over some examples."""
    return oracle(data.inputs[places], data.labels[places])


def path(steps=60, rate=0.4):
    """Return the iterates of noisy gradient descent."""
    problem, rng = oracle(), np.random.default_rng(5)
    points = [problem.initial(0)]
    for _ in range(steps):
        batch = rng.integers(len(Y), size=10)
        gradient = oracle(X[batch], Y[batch])(points[-1], {}).gradient
        points.append({k: w - rate * gradient[k] for k, w in points[-1].items()})
    return points


def measured(integrator, data=None):
    """Return the run along the path; `data` may be partitioned."""
    oracles, parts = expanded({"train": data or oracle()}, pick)
    wholes = shares(parts, lambda part: len(oracles[part].labels))
    points = path()
    layout = oracle().layout
    with track(
        oracles, points[0], layout, integrator=integrator, observers=OBSERVERS, wholes=wholes
    ) as tracker:
        for point in points[1:]:
            tracker.step(point)
    return tracker.run


def dense(run):
    """Return all allocations, shape (steps, parameters)."""
    leaves = (run.dense("train", name)[:] for name in run.layout.names)
    return np.concatenate([leaf.reshape(run.steps, -1) for leaf in leaves], axis=1)


def by_trapezoid():
    """Return the trapezoid rule's allocations along the path, from gradients alone."""
    problem, points = oracle(), path()
    rows = []
    for start, end in pairwise(points):
        first, last = problem(start, {}).gradient, problem(end, {}).gradient
        rows.append(
            np.concatenate([
                (0.5 * (first[k] + last[k]) * (end[k] - start[k])).ravel() for k in start
            ])
        )  # fmt: skip
    return np.array(rows)


EVERY = Adaptive(atol=1e9, audit=1)


def test_signs_that_the_finer_rule_turns_are_counted():
    """An audited step counts the parameters whose two allocations have opposite signs."""
    run = measured(EVERY)
    fine, coarse = dense(run), by_trapezoid()
    expected = (np.sign(fine) * np.sign(coarse) < 0).sum(axis=1)
    assert expected.sum() > 50
    counted = run.reversed_signs("train", by=lambda _: "all").values[:, 0]
    np.testing.assert_array_equal(counted, expected)


def test_the_share_is_near_the_truth():
    """What one refinement turns is what a converged integral turns, within a third of it."""
    found = doubtful_signs(measured(EVERY), "train", by=lambda _: "all")
    truth = dense(measured(Fixed(composite(SIMPSON, 32))))
    coarse = by_trapezoid()
    wrong = (np.sign(truth) * np.sign(coarse) < 0).sum() / (truth != 0).sum()
    assert found.half[0] == 0.0
    assert found.share[0] == pytest.approx(wrong, rel=1 / 3)


def test_a_sample_stands_for_the_run():
    """One step in four gives the share of all steps within its own interval."""
    every = doubtful_signs(measured(EVERY), "train", by=lambda _: "all")
    some = doubtful_signs(measured(Adaptive(atol=1e9, audit=4)), "train", by=lambda _: "all")
    assert some.looked_at == 15
    assert 0 < some.half[0] < some.share[0]
    assert abs(some.share[0] - every.share[0]) < some.half[0] * 1.5


def test_a_whole_counts_its_own_signs():
    """The whole of a partition turns as the undivided measure does, not as its parts' sum."""
    whole = measured(EVERY, Partition(oracle(), by=Y))
    for part in whole.parts("train"):
        assert (whole.rows["evaluations"][:, whole.measures.index(part)] == 2).all()
    fine = dense(whole)
    expected = (np.sign(fine) * np.sign(by_trapezoid()) < 0).sum(axis=1)
    counted = whole.reversed_signs("train", by=lambda _: "all").values[:, 0]
    np.testing.assert_array_equal(counted, expected)


@pytest.mark.parametrize("data", [None, Partition(oracle(), by=Y)], ids=["one", "whole"])
def test_an_audited_step_counts_against_what_the_others_make_do_with(data):
    """Where some parts were refined by need and some were not, turned signs are the lot's alone."""
    refining = {"rtol": 0.0, "atol": 2e-4, "run_rtol": None}
    needed = measured(Adaptive(**refining, audit=None), data)
    audited = measured(Adaptive(**refining, audit=1), data)
    parts = list(needed.parts("train")) or ["train"]
    assert 0 < np.mean([needed.evaluations(part) > 1 for part in parts]) < 1
    expected = (np.sign(dense(audited)) * np.sign(dense(needed)) < 0).sum(axis=1)
    assert expected.sum() > 10
    counted = audited.reversed_signs("train", by=lambda _: "all").values[:, 0]
    np.testing.assert_array_equal(counted, expected)


def test_numbers_by_hand(made):
    """Each audited step stands for those before the next, by scipy's t; what is open for itself."""
    nan = [np.nan] * 3
    run = made(
        allocation=np.ones((5, 3)),
        reversed=np.array([[2.0, 0, 0], nan, [4.0, 1, 0], nan, [9.0, 0, 0]]),
        audited=np.array([True, False, True, False, False]),
        helped=np.full((5, 3), 50),
        hurt=np.zeros((5, 3), int),
    )
    found = doubtful_signs(run, "train")
    assert found.labels == ("a", "b")
    # Layer a: 2 for itself and the next step, 5 for itself and two, of 5 · 100 signs.
    np.testing.assert_allclose(found.share, [(2 * 2 + 3 * 5) / 500, 0.0])
    # Of one difference, 3/√2, with n (n + 1) = 2 and 6. Layer b: p of the other three steps could
    # turn whole, where (1 - p)^1.8 = 0.05: lots for one step and two are as good as 1.8 alike.
    spread, missed = np.sqrt(4.5 * (2 + 6)), 1 - 0.05 ** (1 / 1.8)
    student = stats.t.ppf(0.975, df=1)
    luck = 9  # step 3 is beside the one that was refined by need
    expected = [(student * spread + luck) / 500, missed * 3 / 5]
    np.testing.assert_allclose(found.half, expected, rtol=1e-3)
    assert found.looked_at == 3
    status = np.array([Status.OK] * 4 + [Status.CAP])
    rows = {name: values[:, 0] for name, values in run.rows.items() if name != "iteration"}
    found = doubtful_signs(made(**rows | {"status": status}), "train")
    np.testing.assert_allclose(found.share, [(2 * 2 + 2 * 5 + 9) / 500, 0.0])
    spread = np.sqrt(4.5 * (2 + 2))
    np.testing.assert_allclose(found.half[0], (student * spread + luck + 9) / 500, rtol=1e-3)


def sampled(made, turned, rng, signs=1000, every=16):
    """Return a run of which one step in each block was looked at; `turned` has all, (steps,)."""
    blocks = len(turned) // every
    audited = np.zeros(len(turned), bool)
    audited[np.arange(blocks) * every + rng.integers(every, size=blocks)] = True
    seen = np.zeros((len(turned), 3))
    seen[:, 0] = np.where(audited, turned, np.nan)
    signed = np.zeros((len(turned), 3), int)
    signed[:, 0] = signs
    return made(
        allocation=np.zeros_like(seen),
        reversed=seen,
        audited=audited,
        helped=signed,
        hurt=0 * signed,
    )


@pytest.mark.parametrize("blocks", [2, 4, 25])
@pytest.mark.parametrize("rate", [0.03, 0.3, 3.0])
def test_the_true_share_lies_within(made, blocks, rate):
    """Of runs whose steps turn few signs or many, in bursts, the ± holds the true share in 85 %."""
    rng, covered, repeats = np.random.default_rng(2), 0, 300
    for _ in range(repeats):
        turned = rng.poisson(rng.gamma(1.0, rate, 16 * blocks))
        found = doubtful_signs(sampled(made, turned, rng), "train", by=lambda _: "all")
        covered += abs(found.share[0] - turned.mean() / 1000) <= found.half[0]
    assert covered / repeats >= 0.85


def test_no_turn_is_not_none(made):
    """Where no audited step turned a sign the story says how many may be wrong, not ± 0."""
    run = sampled(made, np.zeros(160), np.random.default_rng(0))
    run.rows["audited"][:] = np.arange(160)[:, None] % 16 == 0
    run.rows["reversed"][:] = np.where(run.rows["audited"][:, :, None], 0.0, np.nan)
    found = doubtful_signs(run, "train", by=lambda _: "all")
    missed = stats.binomtest(0, 10).proportion_ci(0.90).high
    assert (found.share[0], found.half[0]) == (0.0, pytest.approx(missed * 150 / 160))
    rows = {name: values[:, 0] for name, values in run.rows.items() if name != "iteration"}
    rows |= dict.fromkeys(("gap", "buffers"), np.zeros(160)) | {"noise": np.full(160, 1e-9)}
    rows |= {"evaluations": np.ones(160), "loss": np.full(160, 1.0)}
    assert "at most 24 % of all single signs are wrong" in certainty_passage(made(**rows), "train")


def test_a_group_is_judged_by_the_steps_on_which_it_moved(made):
    """A layer that moved on two steps that no lot fell on has no share, not one of zero."""
    steps, lots = 40, np.arange(40) % 4 == 0
    helped = np.full((steps, 3), 50)
    helped[:, 2] = 0
    helped[[1, 2], 2] = 50
    seen = np.where(lots[:, None], 0.0, np.nan) * np.ones(3)
    rows = {"allocation": -1.0 * helped, "helped": helped, "hurt": 0 * helped, "audited": lots}
    found = doubtful_signs(made(reversed=seen, **rows), "train")
    assert found.labels == ("a", "b")
    assert found.share[0] == 0.0
    assert 0.0 < found.half[0] < 1.0
    assert np.isnan([found.share[1], found.half[1]]).all()
    seen[[1, 2]] = 5.0  # refined by need, they speak for themselves
    found = doubtful_signs(made(reversed=seen, **rows), "train")
    assert (found.share[1], found.half[1]) == (0.1, 0.1)


def test_steps_that_are_not_finite_do_not_count(made):
    """A lost step has no signs."""
    run = made(
        allocation=np.ones((2, 3)),
        reversed=np.array([[1.0, 0, 0], [np.nan] * 3]),
        status=np.array([Status.OK, Status.NONFINITE]),
        helped=np.full((2, 3), 2),
        hurt=np.zeros((2, 3), int),
    )
    np.testing.assert_allclose(doubtful_signs(run, "train").share, [0.25, 0.0])


def test_without_a_sample_nothing_is_known(made):
    """A single audited step is no sample: the share is NaN, and the story keeps silent."""
    rows = {
        "allocation": np.full((4, 3), -0.01),
        "reversed": np.array([[1.0, 0, 0], *[[np.nan] * 3] * 3]),
        "audited": np.array([True, False, False, False]),
        "helped": np.full((4, 3), 2),
        "hurt": np.zeros((4, 3), int),
        "loss": np.linspace(0.97, 0.88, 4),
        "gap": np.zeros(4),
        "buffers": np.zeros(4),
        "noise": np.full(4, 1e-9),
        "evaluations": np.ones(4),
    }
    assert np.isnan(doubtful_signs(made(**rows), "train").share).all()
    assert "finer rule" not in certainty_passage(made(**rows), "train")
    rows["audited"][:] = rows["reversed"][:] = 1
    told = certainty_passage(made(**rows), "train")
    assert "The finer rule turned 50 % of all helps and hurts round" in told
    assert "its signs are on record" in told  # it was used at every step
    assert "so many single signs may be wrong" not in told
    rows["reversed"] = np.zeros((4, 3))
    told = certainty_passage(made(**rows), "train")
    assert "The finer rule turned no help or hurt round at any step." in told
    rows["reversed"] = np.array([[1.0, 0, 0], [1.0, 0, 0], *[[np.nan] * 3] * 2])
    assert "so many single signs may be wrong" in certainty_passage(made(**rows), "train")


def test_an_older_file_says_what_is_missing(made):
    """A run without the counts names them."""
    run = made(allocation=np.ones((2, 3)), helped=np.ones((2, 3)), hurt=np.ones((2, 3)))
    with pytest.raises(NotRecordedError, match="reversed"):
        doubtful_signs(run, "train")
