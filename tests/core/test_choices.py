"""What somebody measures with is made and whole, or the error says what to pass."""

from __future__ import annotations

import numpy as np
import pytest

from lca_core import SIMPSON, Adaptive, Counts, Fixed, Totals, default_observers
from lca_core.choices import chosen
from lca_core.errors import ObserverError, RuleError
from lca_core.reference import Polynomial

LAYOUT = Polynomial({"x": np.ones(2)}, power=3).layout


def test_what_is_left_out_is_ours_and_what_is_chosen_stays():
    """No observers are a choice too."""
    assert chosen(LAYOUT, None, []) == (Adaptive(), ())
    kinds = [type(one) for one in chosen(LAYOUT, None, None)[1]]
    assert kinds == [type(one) for one in default_observers(LAYOUT)]
    rule, some = Fixed(SIMPSON), (Counts(),)
    assert chosen(LAYOUT, rule, iter(some)) == (rule, some)


@pytest.mark.parametrize("integrator", ["simpson", SIMPSON, Adaptive], ids=str)
def test_what_is_no_integrator_is_refused(integrator):
    """A name, a bare rule and a class are told what to pass."""
    with pytest.raises(RuleError, match=r"Adaptive\(\.\.\.\) or Fixed\(rule\), got"):
        chosen(LAYOUT, integrator, None)


@pytest.mark.parametrize(
    ("observers", "remedy"),
    [(Totals(), r"pass \[Totals\(\.\.\.\)\]"), ([Totals], "Pass it made"), (["totals"], "init")],
)
def test_what_are_no_observers_is_refused(observers, remedy):
    """A single one, a class and a name are told what to pass."""
    with pytest.raises(ObserverError, match=remedy):
        chosen(LAYOUT, None, observers)
