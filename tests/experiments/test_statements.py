"""Verdicts on statements about means: their level on null effects, and every outcome by hand."""

import numpy as np
import pytest
from scipy import stats

from lca_core.analyses import Mean, mean_of
from lca_core.experiments.statements import Statement, refuted, unsettled, verdict


def statement(value, p, side):
    """Return a statement on a mean of ten with this p."""
    return Statement(f"{value} is {side}", Mean(value, 0.1, p, 10), side)


@pytest.mark.parametrize(
    ("value", "p", "side", "found"),
    [
        (-1.0, 0.01, "below", "agrees"),
        (1.0, 0.01, "below", "disagrees"),
        (-1.0, 0.06, "below", "undecided"),
        (1.0, 0.01, "above", "agrees"),
        (-1.0, 0.01, "above", "disagrees"),
        (-1.0, 0.06, "not below", "agrees"),
        (1.0, 0.01, "not below", "agrees"),
        (-1.0, 0.01, "not below", "disagrees"),
        (0.0, float("nan"), "above", "undecided"),
    ],
)
def test_one_statement(value, p, side, found):
    """The side and p = 0.05 decide."""
    assert verdict([statement(value, p, side)]) == found


def test_one_seed_settles_nothing():
    """Without an interval not even "not below" holds."""
    one = Statement("", mean_of([1.0]), "not below")
    assert verdict([one]) == "undecided"
    assert unsettled([one]) == (one,)


def test_refuting_one_of_many_is_corrected():
    """0.03 among three is no refutation, 0.01 is; all must hold for agreement."""
    fine = [statement(1.0, 0.04, "above")] * 2
    assert verdict([*fine, statement(-1.0, 0.03, "above")]) == "undecided"
    worse = statement(-1.0, 0.01, "above")
    assert verdict([*fine, worse]) == "disagrees"
    assert refuted([*fine, worse]) == (worse,)
    assert verdict(fine) == "agrees"


def test_null_effects_are_found_in_five_percent():
    """Of nothing, p < 0.05 in 5 % of draws; either side of one statement in 2.5 %."""
    rng = np.random.default_rng(0)
    draws = 3000
    means = [mean_of(values) for values in rng.normal(size=(draws, 10))]
    low, high = stats.binom.interval(0.999, draws, 0.05)
    assert low <= sum(mean.p < 0.05 for mean in means) <= high
    found = [verdict([Statement("", mean, "above")]) for mean in means]
    low, high = stats.binom.interval(0.999, draws, 0.025)
    for side in ("agrees", "disagrees"):
        assert low <= found.count(side) <= high


def test_null_effects_of_several_layers_refute_no_more_often():
    """Of two null effects, one of them is refuted in 1 - (1 - 0.0125)² of draws (Holm)."""
    rng = np.random.default_rng(2)
    draws = 3000
    found = [
        verdict([Statement("", mean_of(layer), "above") for layer in rng.normal(size=(2, 10))])
        for _ in range(draws)
    ]
    low, high = stats.binom.interval(0.999, draws, 1 - (1 - 0.0125) ** 2)
    assert low <= found.count("disagrees") <= high
    assert found.count("agrees") <= stats.binom.ppf(0.9999, draws, 0.025**2)
