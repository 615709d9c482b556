"""The share that helps, over settings: planted shares, tiny real runs."""

import numpy as np
import pytest
from attrs import evolve
from scipy import stats

from experiments.planted import LAYOUT, START, by_seed, planted, strict, trained
from lca_core.analyses import gini
from lca_core.errors import ExperimentError
from lca_core.experiments.noise import NOISE
from lca_core.experiments.noisiness import Noisiness, share_over_time
from lca_core.networks import fc, resnet20
from lca_core.optimizers import SGD, Adam, RMSprop
from lca_core.reference import NumpyOps
from lca_core.training import TrainingSpec

BASE = TrainingSpec(fc((2, 2, 1), 3, hidden=(6,)), batch_size=20, epochs=6)
SIZES = [leaf.size for leaf in LAYOUT.leaves]
PLACES = np.cumsum([0, *SIZES])


def leaves(flat):
    """Return an array of all parameters leaf by leaf."""
    return {leaf.name: flat[a:b]
            for leaf, a, b in zip(LAYOUT.leaves, PLACES, PLACES[1:], strict=False)}  # fmt: skip


def by_leaf(values):
    """Return sums over the leaves, (steps, leaves)."""
    return np.add.reduceat(values, PLACES[:-1], axis=1)


def observed(allocation):
    """Return a run in which single parameters were allocated this, (steps, parameters).

    Their allocation is told to turn when it does, the gradient half, the motion a third as often.
    """
    sign = np.sign(allocation)
    turned = (np.diff(sign, axis=0) != 0).sum(axis=0).astype(float)
    running = {
        "steps_moved": leaves(np.abs(sign).sum(axis=0)),
        "sign_sum": leaves(sign.sum(axis=0)),
    }
    for part, of in ((3, "motion"), (2, "gradient"), (1, "allocation")):
        running |= {f"{of}_turns": leaves(turned // part), f"{of}_sign": leaves(sign[-1])}
    counts = {name: sum(NumpyOps().histogram(row.astype(np.float32)) for row in leaf.T)
              for name, leaf in leaves(allocation.T).items()}  # fmt: skip
    nothing = {name: np.zeros_like(count) for name, count in counts.items()}
    running |= {"histogram": counts, "histogram_rounding": nothing}
    return planted(
        by_leaf(allocation),
        totals={"train": running, "val": running},
        helped=by_leaf((sign < 0).astype(np.int64)),
        hurt=by_leaf((sign > 0).astype(np.int64)),
    )


def noisy(share, rng, steps=200):
    """Return a run in which parameters help by chance with this probability."""
    helps = rng.random((steps, PLACES[-1])) < share
    # Those that help do more than those that hurt: the loss falls at any share.
    return observed(np.where(helps, -3e-3, 1e-3) * np.exp(rng.normal(0, 1, helps.shape)))


def arms(shares, seeds=6, seed=0):
    """Return arms with these shares."""
    rng = np.random.default_rng(seed)
    return {arm: by_seed(noisy(share, rng) for _ in range(seeds)) for arm, share in shares.items()}


def test_one_thing_is_varied_at_a_time():
    """A star: every arm differs from the base in its optimizer or its batches alone."""
    planned = NOISE.plan(evolve(BASE, seed=7), [0, 1])
    specs = {one.arm: one.spec for one in planned if one.spec.seed == 1}
    assert len(planned) == 2 * len(specs) <= 24
    optimizers = {arm: spec.optimizer for arm, spec in specs.items() if arm[:5] != "batch"}
    assert optimizers == {
        "base": SGD(0.01, 0.9),
        "sgd": SGD(0.01, 0.0),
        "rmsprop": RMSprop(1e-3, 0.9),
        "adam": Adam(1e-4),
        "lr=0.00333": SGD(0.01 / 3, 0.9),
        "lr=0.03": SGD(0.03, 0.9),
        "momentum=0.5": SGD(0.01, 0.5),
    }
    same = {evolve(spec, seed=0, optimizer=BASE.optimizer, batch_size=20) for spec in
            (evolve(one, overrides=()) for one in specs.values())}  # fmt: skip
    assert len(same) == 1
    sizes = {arm: spec.batch_size for arm, spec in specs.items() if spec.batch_size != 20}
    assert sizes == {"batch=10": 10, "batch=40": 40}
    other = NOISE.plan(evolve(BASE, optimizer=Adam(1e-3), batch_size=1), [0])
    assert len(other) == 10
    assert "batch=1" not in {one.arm for one in other}
    assert NOISE.plan(TrainingSpec(resnet20()), [0])[0].tracking["mode"] == "batch-stats"


@pytest.mark.parametrize(
    ("shares", "found"),
    [
        ({"base": 0.54, "adam": 0.56}, "agrees"),
        ({"base": 0.54, "adam": 0.7}, "disagrees"),
        ({"base": 0.54, "adam": 0.45}, "disagrees"),
        ({"base": 0.54, "adam": 0.6}, "undecided"),
        ({"base": 0.54, "adam": 0.5}, "undecided"),
    ],
)
def test_planted_shares(shares, found):
    """Every arm must lie surely between 50 and 60 %; one that surely does not refutes it."""
    judged = NOISE.judge(arms(shares))
    assert judged.verdict == found
    results = strict(judged.results)["arms"]
    for arm, share in shares.items():
        assert results[arm]["of_moving"]["mean"]["value"] == pytest.approx(share, abs=0.02)
    if found == "disagrees":
        assert "refuted: adam " in judged.text[0]


def test_numbers_of_a_run():
    """Shares, ranges, turns and tails are those of the values, computed another way."""
    rng = np.random.default_rng(3)
    values = rng.normal(-0.1, 1, (200, 10)) * 1e-3
    values[:, 0] = 0.0
    values[:20] = -np.abs(values[:20])
    found = Noisiness.of(observed(values))
    moving = values[:, 1:]
    shares = (moving < 0).mean(axis=1)
    assert found.of_moving == pytest.approx(shares.mean())
    assert found.of_all == pytest.approx(0.9 * shares.mean())
    assert (found.early, found.late) == pytest.approx((1.0, shares[100:].mean()))
    own = (moving < 0).mean(axis=0)
    assert (found.low, found.high) == (own.min(), own.max())  # eight of nine are less than 95 %
    assert found.coins == pytest.approx(1.96 * 0.5 / np.sqrt(200))
    turned = (np.diff(np.sign(moving), axis=0) != 0).sum(axis=0)
    for part, each in ((1, found.allocation), (2, found.gradient), (3, found.motion)):
        assert each == pytest.approx(200 * 9 / (turned // part).sum())
    assert (found.helps, found.hurts) == pytest.approx(
        (gini(-values[values < 0]), gini(values[values > 0])), rel=0.02
    )
    assert found.loss == pytest.approx(START + values.sum())
    assert found.mean == pytest.approx(values.mean())
    steps, parts = share_over_time(observed(values), 10)
    np.testing.assert_allclose(steps, np.arange(10, 200, 20))
    np.testing.assert_allclose(parts, shares.reshape(10, 20).mean(axis=1))


def test_reasons_are_in_the_numbers():
    """A share that falls with training, and arms that go with the loss, are said so; else not."""
    rng = np.random.default_rng(4)

    def falling():
        helps = rng.random((100, 10)) < np.linspace(0.95, 0.5, 100)[:, None]
        return observed(np.where(helps, -3e-3, 1e-3))

    given = {**arms({"adam": 0.75}), "base": by_seed(falling() for _ in range(6))}
    judged = NOISE.judge(given)
    assert "falls as training goes on" in judged.text[2]
    assert "More with: adam (+" in judged.text[2]
    steady = NOISE.judge(arms({"base": 0.75, "adam": 0.75}))
    assert "falls as training" not in steady.text[2]
    assert len(NOISE.judge(arms({"base": 0.55})).text) == 3


def test_arms_that_chance_alone_moves_are_seldom_named():
    """Of ten arms like the base, any is said to differ from it in at most 5 % of draws."""
    rng = np.random.default_rng(8)
    named = 0
    for _ in range(60):
        given = {
            arm: by_seed(noisy(0.75, rng, steps=20) for _ in range(5))
            for arm in ("base", *(f"arm {i}" for i in range(10)))
        }
        text = NOISE.judge(given).text[2]
        named += "than in the base with" in text or "More with" in text
    assert named <= stats.binom.ppf(0.999, 60, 0.05)


def test_arms_that_do_not_train_are_left_out():
    """A loss that rose or is no number takes a run out; the base cannot be done without."""
    given = arms({"base": 0.55, "lr=0.03": 0.55, "adam": 0.55})
    rose = observed(np.full((200, 10), 1e-3))
    given["lr=0.03"] = dict.fromkeys(range(6), rose)
    given["adam"][2] = planted([[np.nan, 0.0]])
    judged = NOISE.judge(given)
    assert judged.verdict == "agrees"
    results = strict(judged.results)
    assert results["did_not_train"] == {"base": [], "lr=0.03": [0, 1, 2, 3, 4, 5], "adam": [2]}
    assert judged.text[-1] == "Did not train, and left out: lr=0.03."
    with pytest.raises(ExperimentError, match="'base' whose loss fell"):
        NOISE.judge({"base": {0: rose}})


def test_one_seed_decides_nothing():
    """A single run an arm has no interval."""
    judged = NOISE.judge(arms({"base": 0.7, "adam": 0.7}, seeds=1))
    assert judged.verdict == "undecided"
    assert "One seed is no sample" in judged.text[0]
    assert strict(judged.results)["arms"]["base"]["of_moving"]["mean"]["p"] is None


def test_coins_are_found_out_in_five_percent():
    """Where coins decide, the share differs from one half with p < 0.05 in 5 % of draws."""
    rng = np.random.default_rng(5)
    p = []
    for _ in range(200):
        runs = by_seed(noisy(0.5, rng, steps=20) for _ in range(5))
        (above, _) = NOISE.judge({"base": runs}).results["statements"]
        p.append(above["mean"]["p"])
    low, high = stats.binom.interval(0.999, len(p), 0.05)
    assert low <= sum(one < 0.05 for one in p) <= high


def test_of_trained_runs():
    """All arms of a tiny perceptron are trained and judged, and every picture is drawn."""
    judged = NOISE.judge(trained(NOISE.plan(BASE, range(3))))
    results = strict(judged.results)
    assert len(results["arms"]) == 9
    assert all(0.3 < one["of_moving"]["mean"]["value"] < 1 for one in results["arms"].values())
    assert set(judged.figures) == {"helping", "over-time", "heroes", "distribution"}
    assert all(draw().axes for draw in judged.figures.values())
    low, high = judged.figures["over-time"]().axes[0].get_ylim()
    assert 0.0 <= low < high <= 100.0
