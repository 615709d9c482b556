"""Quadrature rules: what they integrate, how fast they converge, what they refuse."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core import LEFT, RULES, SIMPSON, TRAPEZOID, Rule, composite
from lca_core.errors import RuleError

DEGREES = {
    "left": 0,
    "right": 0,
    "midpoint": 1,
    "trapezoid": 1,
    "Simpson": 3,
    "Boole": 5,
    "Lobatto-4": 5,
    "Lobatto-5": 7,
    "Gauss-2": 3,
    "Gauss-3": 5,
}
rules = st.sampled_from(list(RULES.values()))


def apply(rule, integrand):
    """Return the rule's value of an integral over [0, 1]."""
    return math.fsum(w * integrand(s) for s, w in zip(rule.nodes, rule.weights, strict=True))


def measured_order(rule, integrand, truth):
    """Return the slope of log error against log panels, on the finest grids above rounding."""
    panels = np.array([2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
    errors = np.array([abs(apply(composite(rule, int(n)), integrand) / truth - 1) for n in panels])
    finest = np.flatnonzero(errors > 1e-12)[-4:]
    return -np.polyfit(np.log(panels[finest]), np.log(errors[finest]), 1)[0]


def test_every_named_rule_is_known_here():
    """The table of theory below covers every rule that the package names."""
    assert {name: rule.name for name, rule in RULES.items()} == {name: name for name in DEGREES}


@pytest.mark.parametrize(("name", "degree"), DEGREES.items())
def test_degree_is_that_of_the_literature(name, degree):
    """Each rule integrates exactly the powers that textbooks say, and not the next one."""
    rule = RULES[name]
    assert rule.degree == degree
    for power in range(degree + 1):
        assert apply(rule, lambda s, p=power: s**p) == pytest.approx(1 / (power + 1), abs=1e-15)
    assert abs(apply(rule, lambda s: s ** (degree + 1)) - 1 / (degree + 2)) > 1e-6


@pytest.mark.parametrize("panels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", DEGREES)
def test_composites_keep_the_degree(name, panels):
    """Repeating a rule on panels changes neither its degree nor the sum of its weights."""
    rule = composite(RULES[name], panels)
    assert rule.degree == DEGREES[name]
    assert math.fsum(rule.weights) == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(("name", "degree"), DEGREES.items())
def test_order_of_convergence_on_an_exponential(name, degree):
    """On a smooth integrand the error falls as panels**-(degree + 1)."""
    order = measured_order(RULES[name], lambda s: math.exp(5 * s), math.expm1(5) / 5)
    assert order == pytest.approx(degree + 1, abs=0.15)


@pytest.mark.parametrize(("name", "degree"), DEGREES.items())
def test_order_of_convergence_along_a_perceptron(name, degree, perceptron):
    """Along a step of a tanh network the gradient's integral converges at the rule's order."""
    start = perceptron.initial(0)
    rng = np.random.default_rng(1)
    move = {k: 3.0 * rng.standard_normal(leaf.shape) for k, leaf in start.items()}

    def slope(s):
        point = {k: leaf + s * move[k] for k, leaf in start.items()}
        gradient = perceptron(point, {}).gradient
        return math.fsum(float(np.sum(gradient[k] * move[k])) for k in move)

    nodes, weights = np.polynomial.legendre.leggauss(200)
    truth = math.fsum(w / 2 * slope((x + 1) / 2) for x, w in zip(nodes, weights, strict=True))
    assert measured_order(RULES[name], slope, truth) == pytest.approx(degree + 1, abs=0.2)


@given(rule=rules, panels=st.integers(1, 12), data=st.data())
def test_composites_integrate_polynomials_exactly(rule, panels, data):
    """composite(rule, n) is exact on every polynomial up to the rule's degree."""
    size = DEGREES[rule.name] + 1
    coefficients = data.draw(st.lists(st.floats(-10, 10), min_size=size, max_size=size))
    polynomial = np.polynomial.Polynomial(coefficients)
    truth = math.fsum(c / (k + 1) for k, c in enumerate(coefficients))
    assert apply(composite(rule, panels), polynomial) == pytest.approx(truth, abs=1e-12)


@given(rule=rules, panels=st.integers(1, 24))
def test_composites_merge_shared_nodes(rule, panels):
    """A node that two panels share is one node, and no node is lost."""
    inner = len(set(rule.nodes) - {0.0, 1.0})
    shared = {0.0, 1.0} <= set(rule.nodes)
    ends = len(set(rule.nodes) & {0.0, 1.0})
    made = composite(rule, panels)
    assert len(made.nodes) == panels * inner + (panels + 1 if shared else panels * ends)
    truth = {(p + s) / panels for p in range(panels) for s in rule.nodes}
    assert np.allclose(made.nodes, sorted(truth), rtol=0, atol=1e-15)


@given(rule=rules, panels=st.integers(1, 24))
def test_nested_rules_reuse_nodes(rule, panels):
    """The coarser rule that comes with a rule needs no gradient of its own."""
    made = composite(rule, panels)
    if made.nested is not None:
        assert set(made.nested.nodes) < set(made.nodes)
        assert math.fsum(made.nested.weights) == pytest.approx(1.0, abs=1e-14)


def test_even_composites_of_closed_rules_nest_in_themselves():
    """Doubling the panels of the paper's rule yields the error estimate of half as many."""
    assert composite(SIMPSON, 4).nested == composite(SIMPSON, 2)
    assert composite(TRAPEZOID, 2).nested == TRAPEZOID
    assert composite(LEFT, 2).nested == LEFT
    assert composite(SIMPSON, 3).nested == composite(TRAPEZOID, 3)


def test_numbers_are_python_floats():
    """Rules given as numpy numbers hold Python floats, which keep every framework's dtype."""
    rule = Rule("numpy", np.array([0, 1], np.float32), np.array([0.5, 0.5], np.float32))
    assert {type(x) for x in rule.nodes + rule.weights} == {float}
    made = [composite(rule, 3), *RULES.values()]
    assert {type(x) for r in made for x in r.nodes + r.weights} == {float}


def test_generators_are_read_once():
    """Nodes and weights may come from any iterable."""
    assert Rule("lazy", iter([0.5]), (w for w in [1])).degree == 1


@pytest.mark.parametrize(
    ("nodes", "weights", "came"),
    [
        ((), (), "0 nodes and 0 weights"),
        ((0.0,), (0.5, 0.5), "1 nodes and 2 weights"),
        ((-0.1, 1.0), (0.5, 0.5), "-0.1"),
        ((0.0, 1.5), (0.5, 0.5), "1.5"),
        ((0.0, math.nan), (0.5, 0.5), "nan"),
        ((1.0, 0.0), (0.5, 0.5), "(1.0, 0.0)"),
        ((0.5, 0.5), (0.5, 0.5), "(0.5, 0.5)"),
        ((0.0, 1.0), (0.5, 0.6), "a sum of 1.1"),
        ((0.0, 1.0), (0.5, math.nan), "a sum of nan"),
    ],
)
def test_refusals_name_the_rule_and_what_came(nodes, weights, came):
    """Numbers that do not make a rule are refused by name, with what was given."""
    with pytest.raises(RuleError, match=f"'broken'.*{re.escape(came)}"):
        Rule("broken", nodes, weights)


@pytest.mark.parametrize("nested", [SIMPSON, TRAPEZOID])
def test_a_nested_rule_must_be_coarser(nested):
    """A nested rule with the same nodes, or nodes of its own, is refused."""
    with pytest.raises(RuleError, match=r"'broken' needs a nested rule.*0\.0, .*1\.0"):
        Rule("broken", (0.0, 1.0), (0.5, 0.5), nested)


@pytest.mark.parametrize("panels", [0, -1, 2.5, math.nan, math.inf])
def test_panels_must_be_counted(panels):
    """Only a whole number of panels from 1 up makes a composite."""
    with pytest.raises(RuleError, match=rf"'Simpson'.*{re.escape(str(panels))}"):
        composite(SIMPSON, panels)


def test_whole_panels_of_any_type():
    """A whole number counts as one, whatever its type."""
    composite.cache_clear()
    assert composite(SIMPSON, 6.0) == composite(SIMPSON, np.int64(6)) == composite(SIMPSON, 6)


def test_one_panel_is_the_rule_itself():
    """composite(rule, 1) is the rule."""
    assert composite(SIMPSON, 1) is SIMPSON
