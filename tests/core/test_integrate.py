"""The average gradient along a step: exactness, refinement, statuses, reuse of points."""

import gc
import math
import tracemalloc
import weakref
from functools import partial

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lca_core import (
    BOOLE,
    GAUSS_2,
    GAUSS_3,
    LEFT,
    LOBATTO_4,
    LOBATTO_5,
    MIDPOINT,
    RULES,
    SIMPSON,
    TRAPEZOID,
    Adaptive,
    Evaluation,
    Fixed,
    Segment,
    Status,
    Tolerance,
    composite,
)
from lca_core.account import Account
from lca_core.errors import RuleError
from lca_core.reference import NumpyOps, Polynomial, Quadratic
from lca_core.segment import NOISE_EPSILONS

EPS = float(np.finfo(float).eps)
EXACT = {"rtol": 1e-10, "atol": 1e-13}


def segment(problem, start, end, *, index=0, oracle=None):
    """Return the step from start to end, its ends evaluated."""
    evaluate = partial(oracle or problem, buffers={})
    return Segment(
        index=index,
        start=start,
        displacement={name: end[name] - start[name] for name in start},
        evaluate=evaluate,
        first=problem(start, {}),
        last=problem(end, {}),
        eps=problem.eps,
        ops=NumpyOps(),
    )


class Curve:
    """A loss in one coordinate whose derivative is given, with its closed-form integral."""

    def __init__(self, slope, loss, eps=EPS):
        self.slope, self.loss, self.eps = slope, loss, eps

    def __call__(self, params, buffers):
        """Return loss and gradient."""
        x = params["x"]
        return Evaluation(np.sum(self.loss(x)), {"x": self.slope(x)})


def unit_step(slope, loss, **options):
    """Return the step of a curve from 0 to 1, on which s is the coordinate itself."""
    return segment(Curve(slope, loss), {"x": np.zeros(1)}, {"x": np.ones(1)}, **options)


def polynomial_step(coefficients, **options):
    """Return the unit step whose gradient is a polynomial."""
    slope = np.polynomial.Polynomial(coefficients)
    return unit_step(slope, slope.integ(), **options)


def kinked(kink):
    """Return the unit step of |x - kink|, whose gradient jumps on the way."""
    return unit_step(lambda x: np.sign(x - kink), lambda x: np.abs(x - kink))


KINKED = partial(kinked, 0.3141)
WAVY = partial(unit_step, lambda x: 6 * np.cos(6 * x) + 4, lambda x: np.sin(6 * x) + 4 * x)


def random_polynomial(power, seed):
    """Return a polynomial problem on leaves of several shapes, and a step."""
    rng = np.random.default_rng(seed)
    shapes = {"matrix": (3, 2), "scalar": (), "empty": (0, 4), "one": (1,)}
    problem = Polynomial({k: rng.uniform(1, 2, s) for k, s in shapes.items()}, power)
    start, end = ({k: rng.uniform(0.5, 2, s) for k, s in shapes.items()} for _ in range(2))
    return problem, start, end


def random_quadratic(seed, *, definite):
    """Return a coupled quadratic and a step."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((7, 7))
    hessian = root @ root.T if definite else root + root.T
    problem = Quadratic(hessian, rng.standard_normal(7))
    return problem, {"x": rng.standard_normal(7)}, {"x": rng.standard_normal(7)}


def assert_exact(integral, step, truth):
    """Compare mean gradient and leaf allocations with the closed form."""
    for name, exact in truth.items():
        found = integral.mean_gradient[name] * step.displacement[name]
        assert np.allclose(found, exact, rtol=1e-12, atol=1e-12)
    sums = [math.fsum(np.ravel(exact)) for exact in truth.values()]
    assert np.allclose(integral.leaf_allocation, sums, rtol=1e-12, atol=1e-12)
    assert abs(integral.gap) < 1e-11


@pytest.mark.parametrize("power", range(1, 7))
@pytest.mark.parametrize("rule", [*RULES.values(), composite(SIMPSON, 3)], ids=lambda r: r.name)
def test_fixed_rules_are_exact_up_to_their_degree(rule, power):
    """A rule of degree p - 1 allocates a loss of power p exactly, element by element."""
    problem, start, end = random_polynomial(power, seed=power)
    step = segment(problem, start, end)
    integral = Fixed(rule)(step)
    if rule.degree >= power - 1:
        assert_exact(integral, step, problem.allocation(start, end))
        assert integral.status is Status.OK
    else:
        assert abs(integral.gap) > 1e-9


@pytest.mark.parametrize(("power", "new"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 3), (6, 3)])
def test_refinement_is_exact_as_soon_as_a_rule_is(power, new):
    """Adaptive spends the fewest points whose rule is exact: trapezoid, Simpson, Boole."""
    problem, start, end = random_polynomial(power, seed=power)
    step = segment(problem, start, end)
    integral = Adaptive(**EXACT, audit=None)(step)
    assert_exact(integral, step, problem.allocation(start, end))
    assert integral.evaluations == new
    assert integral.status is Status.OK


@pytest.mark.parametrize("definite", [True, False])
@given(seed=st.integers(0, 10_000))
def test_quadratics_need_no_point_inside(seed, definite):
    """On any coupled quadratic the shared ends are enough, whatever the curvature's sign."""
    problem, start, end = random_quadratic(seed, definite=definite)
    step = segment(problem, start, end)
    integral = Adaptive(**EXACT, audit=None)(step)
    assert_exact(integral, step, problem.allocation(start, end))
    assert (integral.rule, integral.evaluations) == (TRAPEZOID, 0)


@pytest.mark.parametrize("rule", [TRAPEZOID, SIMPSON, LOBATTO_4, GAUSS_2, composite(BOOLE, 2)])
def test_nested_error_is_finer_minus_coarser(rule):
    """Fixed reports the difference to the nested rule, or NaN where there is none."""
    integral = Fixed(rule)(WAVY())
    if rule.nested is None:
        assert np.isnan(integral.leaf_error).all()
    else:
        coarse = Fixed(rule.nested)(WAVY()).leaf_allocation
        assert np.allclose(integral.leaf_error, integral.leaf_allocation - coarse, atol=1e-14)


def test_adaptive_error_is_the_change_of_the_last_halving():
    """Adaptive reports how much the last halving moved each leaf; NaN before the first."""
    assert np.isnan(Adaptive(audit=None)(polynomial_step([1, 1])).leaf_error).all()
    once = Adaptive(**EXACT, audit=None)(polynomial_step([1, 0, 3]))
    assert once.leaf_allocation == pytest.approx([2.0])
    assert once.leaf_error == pytest.approx([2.0 - 2.5])


def test_points_are_reused(counted, perceptron):
    """Every halving keeps the old points: no point is asked twice, the ends never again."""
    start = perceptron.initial(0)
    end = {
        k: leaf + 3 * np.cos(np.arange(leaf.size)).reshape(leaf.shape) for k, leaf in start.items()
    }
    oracle = counted(perceptron)
    step = segment(perceptron, start, end, oracle=oracle)
    integral = Adaptive(rtol=1e-7, atol=0, max_panels=64, audit=None)(step)
    seen = [next(iter(point.values())).tobytes() for point in oracle.points]
    assert integral.evaluations == len(seen) == len(set(seen)) > 3
    inner = (
        start["fc1.weight"] + k / (len(seen) + 1) * step.displacement["fc1.weight"]
        for k in range(1, len(seen) + 1)
    )
    assert set(seen) == {point.tobytes() for point in inner}


@pytest.mark.parametrize("rule", [*RULES.values(), composite(GAUSS_3, 2)], ids=lambda r: r.name)
def test_fixed_rules_ask_for_inner_nodes_only(rule, counted):
    """Fixed evaluates its inner nodes in order and takes the ends as they are."""
    curve = Curve(np.cos, np.sin)
    oracle = counted(curve)
    start, end = {"x": np.zeros(1)}, {"x": np.ones(1)}
    integral = Fixed(rule)(segment(curve, start, end, oracle=oracle))
    inner = [s for s in rule.nodes if s not in (0.0, 1.0)]
    assert [float(point["x"][0]) for point in oracle.points] == inner
    assert integral.evaluations == len(inner)


def test_end_gradients_are_taken_bit_for_bit():
    """At s = 0 and s = 1 the segment hands out the very gradients it was given."""
    step = WAVY()
    assert step.gradient(0.0) is step.first.gradient
    assert step.gradient(1.0) is step.last.gradient


def test_the_best_of_the_rules_is_taken():
    """Among the rules on the points at hand, the one that leaves the smallest gap wins."""
    taken = set()
    for kink in np.linspace(0.02, 0.98, 25):
        step = kinked(kink)
        integral = Adaptive(rtol=0, atol=0, max_panels=8, audit=None)(step)
        rules = [composite(TRAPEZOID, 8), composite(SIMPSON, 4), composite(BOOLE, 2)]
        gaps = [abs(Fixed(rule)(step).gap) for rule in rules]
        assert abs(integral.gap) == pytest.approx(min(gaps), abs=1e-14)
        taken.add(integral.rule.name.split()[0])
    assert taken == {"trapezoid", "Simpson", "Boole"}
    smooth = Adaptive(rtol=0, atol=1e-4, audit=None)(WAVY())
    assert smooth.rule.name.startswith("Boole")


@pytest.mark.parametrize("make", [WAVY, KINKED])
@pytest.mark.parametrize("halvings", range(7))
def test_grids_weigh_points_as_their_rule_does(make, halvings):
    """However far refined, the allocation is that of the rule that is named, on its nodes."""
    adaptive = Adaptive(rtol=0, atol=0, max_panels=1 << halvings, audit=None)
    integral = adaptive(make())
    fixed = Fixed(integral.rule)(make())
    assert integral.leaf_allocation == pytest.approx(fixed.leaf_allocation, rel=1e-13, abs=1e-14)
    assert integral.mean_gradient["x"] == pytest.approx(fixed.mean_gradient["x"], rel=1e-13)
    assert integral.gap == pytest.approx(fixed.gap, abs=1e-14)


def test_refinement_reaches_the_integral(perceptron):
    """Leaf by leaf the refined allocation is that of a 200-point Gauss rule."""
    start = perceptron.initial(0)
    rng = np.random.default_rng(2)
    end = {k: leaf + rng.standard_normal(leaf.shape) for k, leaf in start.items()}
    step = segment(perceptron, start, end)
    integral = Adaptive(rtol=1e-9, atol=0, max_panels=256, certify=True)(step)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    truth = sum(
        w / 2 * step.along(step.gradient((x + 1) / 2)) for x, w in zip(nodes, weights, strict=True)
    )
    assert integral.status is Status.OK
    assert np.allclose(integral.leaf_allocation, truth, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("rtol", "atol"), [(1e-2, 1e-5), (1e-4, 0.0), (0.0, 1e-3), (1e-6, 1e-9)])
def test_ok_means_within_tolerance(rtol, atol):
    """A step that is called closed has |gap| ≤ max(rtol·|ΔL|, atol, noise floor)."""
    integral = Adaptive(rtol, atol, max_panels=256, audit=None)(WAVY())
    change = math.sin(6) + 4
    assert integral.status is Status.OK
    assert abs(integral.gap) <= max(rtol * change, atol)
    assert integral.gap == pytest.approx(change - integral.leaf_allocation.sum(), abs=1e-14)


@pytest.mark.parametrize(
    ("tolerance", "eps", "status"),
    [
        (Tolerance(rtol=0.34, atol=0), EPS, Status.OK),
        (Tolerance(rtol=0.33, atol=0), EPS, Status.CAP),
        (Tolerance(rtol=0, atol=1.01), EPS, Status.OK),
        (Tolerance(rtol=0, atol=0.99), EPS, Status.CAP),
        (Tolerance(rtol=0, atol=0), 0.26 / NOISE_EPSILONS, Status.OK),
        (Tolerance(rtol=0, atol=0), 0.24 / NOISE_EPSILONS, Status.CAP),
        (Tolerance(rtol=0.3, atol=0.9), 0.2 / NOISE_EPSILONS, Status.CAP),
    ],
)
def test_tolerances_are_the_larger_of_three(tolerance, eps, status):
    """The left rule on x² from 1 to 2 has ΔL = 3, gap = 1 and a largest loss of 4."""
    square = Curve(lambda x: 2 * x, np.square, eps)
    step = segment(square, {"x": np.ones(1)}, {"x": np.full(1, 2.0)})
    integral = Fixed(LEFT, tolerance)(step)
    assert (step.change, integral.gap) == (3.0, 1.0)
    assert step.noise == pytest.approx(NOISE_EPSILONS * eps * 4, abs=0)
    assert integral.status is status
    limited = Adaptive(tolerance.rtol, tolerance.atol, max_panels=1, audit=None)
    assert limited(step).status is Status.OK


@pytest.mark.parametrize("panels", [1, 2, 4, 32])
def test_cap(panels):
    """Out of points with a gap left, the step says so and has used exactly what it may."""
    integral = Adaptive(rtol=0, atol=0, max_panels=panels, audit=None)(KINKED())
    assert integral.status is Status.CAP
    assert integral.evaluations == panels - 1


def test_stalled():
    """A loss that jumps where its gradient does not know is found out in seven points."""
    step = unit_step(np.cos, lambda x: np.sin(x) + (x > 0.5))
    integral = Adaptive(audit=None)(step)
    assert integral.status is Status.STALLED
    assert integral.gap == pytest.approx(1.0, abs=1e-2)
    assert integral.evaluations == 7


def test_slow_convergence_is_no_stall():
    """What converges slowly, a kink or a root, is refined to the end, or to the tolerance."""
    assert Adaptive(0, 0, max_panels=64, audit=None)(KINKED()).status is Status.CAP
    assert Adaptive(0, 2e-2, max_panels=64, audit=None)(KINKED()).status is Status.OK
    for kink in np.random.default_rng(0).uniform(0, 1, 100):
        step = kinked(kink)
        assert Adaptive(0, 1e-3, audit=None)(step).status in {Status.OK, Status.CAP}
    root = unit_step(
        lambda x: np.where(x > 0, 0.3 * np.maximum(x, 1e-99) ** -0.7, 0), lambda x: x**0.3
    )
    assert Adaptive(0, 1e-3, audit=None)(root).status is Status.CAP


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["first loss", "last loss", "first gradient", "inside", "step"])
def test_nonfinite(bad, place):
    """Whatever is not finite in a step, its books are marked so, and no point is wasted."""
    step = polynomial_step([0, 0, 0, 1])
    if place == "step":
        step = evolve(step, displacement={"x": np.full(1, bad)})
    elif place == "inside":
        poisoned = Evaluation(np.float64(0), {"x": np.full(1, bad)})
        step = evolve(step, evaluate=lambda _: poisoned)
    else:
        end, what = place.split()
        loss, gradient = (bad, np.ones(1)) if what == "loss" else (0.0, np.full(1, bad))
        step = evolve(step, **{end: Evaluation(np.float64(loss), {"x": gradient})})
    with np.errstate(invalid="ignore"):
        integral = Adaptive(**EXACT)(step)
        assert Fixed(SIMPSON)(step).status is Status.NONFINITE
    assert integral.status is Status.NONFINITE
    assert integral.evaluations <= 1


class Opposed:
    """A loss whose leaves have equal and opposite quadrature errors: the total gap is zero."""

    eps = EPS

    def __call__(self, params, buffers):
        """Return loss and gradient."""
        a, b, c = params["a"], params["b"], params["c"]
        loss = np.sum(np.exp(4 * a) - np.exp(4 * b)) - 30 * np.sum(c)
        gradient = {"a": 4 * np.exp(4 * a), "b": -4 * np.exp(4 * b), "c": np.full(1, -30.0)}
        return Evaluation(loss, gradient)


def test_certified_leaves():
    """Where two leaves' errors cancel in the gap, only certify=True sees and mends them."""
    start, end = ({k: np.full(1, x) for k in "abc"} for x in (0.0, 1.0))
    step = segment(Opposed(), start, end)
    reference = Fixed(composite(SIMPSON, 64))(step).leaf_allocation
    assert reference == pytest.approx([math.expm1(4), -math.expm1(4), -30.0], rel=1e-6)
    allowed = np.maximum(1e-2 * np.abs(reference), 1e-2 * 30)

    loose = Adaptive(1e-2, audit=None)(step)
    assert (loose.status, loose.evaluations) == (Status.OK, 0)
    assert np.any(np.abs(loose.leaf_allocation - reference) > allowed)

    certified = Adaptive(1e-2, certify=True)(step)
    assert certified.status is Status.OK
    assert certified.evaluations > 1
    assert np.all(np.abs(certified.leaf_error) <= allowed)
    assert np.all(np.abs(certified.leaf_allocation - reference) <= allowed)

    capped = Adaptive(certify=True, max_panels=2)(step)
    assert (capped.status, capped.evaluations) == (Status.CAP, 1)


def test_certificates_cost_at_least_one_point():
    """Even an exact step is certified by comparison, never by assumption."""
    certified = Adaptive(certify=True, audit=None)(polynomial_step([1.0, 2.0]))
    assert (certified.evaluations, certified.status) == (1, Status.OK)
    assert certified.leaf_error == pytest.approx([0.0])


@pytest.mark.parametrize("block", [1, 2, 16])
def test_one_audit_a_block(block):
    """Of every block of steps one is refined by lot, the same one whenever it is asked."""
    starts = [0]  # blocks are half as long as all before them
    while starts[-1] < 20 * block:
        starts.append(starts[-1] + min(max(4, starts[-1] // 2), block))
    closed = [Adaptive(audit=block)(polynomial_step([1.0], index=i)) for i in range(starts[-1])]
    audited = np.array([integral.audited for integral in closed])
    assert np.add.reduceat(audited, starts[:-1]).tolist() == [1] * (len(starts) - 1)
    assert [integral.evaluations for integral in closed] == audited.astype(int).tolist()
    assert [not np.isnan(i.leaf_error).any() for i in closed] == audited.tolist()
    again = [Adaptive(audit=block)(polynomial_step([1.0], index=i)) for i in range(starts[-1])]
    assert audited.tolist() == [integral.audited for integral in again]
    long = np.diff(starts) == block
    places = np.flatnonzero(audited) - starts[:-1]
    assert len(set(places[long])) == min(block, 2) or len(set(places[long])) > 2


def test_no_audit_where_none_is_asked_or_possible():
    """No lot is drawn without audit, without room for more points, or for a step left open."""
    flat = partial(polynomial_step, [1.0])
    assert not any(Adaptive(audit=None)(flat(index=i)).audited for i in range(32))
    assert not any(Adaptive(audit=1, max_panels=1)(flat(index=i)).evaluations for i in range(32))
    full = Adaptive(**EXACT, audit=1, max_panels=2)(polynomial_step([0, 0, 1]))
    assert (full.evaluations, full.status, full.audited) == (1, Status.OK, False)
    open_ = Adaptive(rtol=0, atol=0, audit=1, max_panels=4)(WAVY())
    assert (open_.evaluations, open_.status, open_.audited) == (3, Status.CAP, False)


def test_a_step_refined_by_need_is_audited_once_more():
    """What a lot tells of a refined step is the error of the rule that the others stop at."""
    tolerance = {"rtol": 0, "atol": 1e-4}
    needed = Adaptive(**tolerance, audit=None)(WAVY())
    audited = Adaptive(**tolerance, audit=1)(WAVY())
    assert (needed.audited, audited.audited) == (False, True)
    assert audited.evaluations == 2 * needed.evaluations + 1
    expected = audited.leaf_allocation - needed.leaf_allocation
    assert audited.leaf_error == pytest.approx(expected, abs=1e-15)
    assert np.all(np.abs(audited.leaf_error) < np.abs(needed.leaf_error))
    for name, gradient in audited.coarser.items():
        assert gradient == pytest.approx(needed.mean_gradient[name])


def test_an_audit_that_finds_a_gap_is_still_an_audit():
    """A step drawn by lot stays in the sample when the look inside calls for more points."""
    dip = np.polynomial.Polynomial([0, -1, 1])
    slope = 1 + 8 / 5 * dip + 8 * dip**2  # the trapezoid rule is exact by chance
    step = unit_step(slope, slope.integ())
    trapezoid = Adaptive(audit=None)(step)
    assert trapezoid.evaluations == 0
    integral = Adaptive(audit=1)(step)
    assert (integral.evaluations, integral.status) == (3, Status.OK)
    assert integral.audited
    # Its error is that of the trapezoid rule, which it stands for.
    expected = integral.leaf_allocation - trapezoid.leaf_allocation
    assert integral.leaf_error == pytest.approx(expected, abs=1e-15)


def test_a_lot_looks_behind_what_the_sum_asked_for():
    """Halved for the sum of all gaps, then by lot: it is compared with what the others do with."""
    settings = {"rtol": 0, "atol": 100.0, "run_rtol": 0.0}
    alone = Adaptive(**settings, audit=None)(WAVY())
    assert (alone.evaluations, alone.status) == (0, Status.OK)
    step = evolve(WAVY(), account=Account(gap=np.copysign(100.0, alone.gap)))
    summed = Adaptive(**settings, audit=None)(step)
    audited = Adaptive(**settings, audit=1)(step)
    assert (summed.evaluations, audited.evaluations) == (1, 3)
    assert (summed.audited, audited.audited) == (False, True)
    for integral, coarser in ((summed, alone), (audited, summed)):
        expected = integral.leaf_allocation - coarser.leaf_allocation
        assert integral.leaf_error == pytest.approx(expected, abs=1e-15)
        assert integral.coarser["x"] == pytest.approx(coarser.mean_gradient["x"])


@pytest.mark.parametrize("inside", [np.nan, np.inf])
def test_a_look_for_the_sum_opens_no_books(inside):
    """Where the point that the sum asks for is not finite, the step stays as it was closed."""
    step = unit_step(lambda s: np.where((s > 0) & (s < 1), inside, 1.0), lambda s: s)
    step = evolve(step, account=Account(gap=1.0))
    asked = evolve(step, last=evolve(step.last, loss=step.last.loss + 1e-3))
    integral = Adaptive(rtol=1.0, audit=None, run_rtol=0.0)(asked)
    assert (integral.status, integral.evaluations) == (Status.OK, 1)
    assert integral.leaf_allocation == pytest.approx(1.0)
    assert np.isnan(integral.leaf_error).all()
    assert Adaptive(rtol=1.0, audit=1)(step).status is Status.NONFINITE


def test_what_was_looked_at_in_vain_is_not_forgotten():
    """Where the halving that the sum asks for would open the step, it tells of the step's error."""
    bump = unit_step(lambda s: 1.0 + 0.3 * np.sin(np.pi * s), lambda s: s)
    step = evolve(bump, account=Account(gap=1.0))
    asked = evolve(step, last=evolve(step.last, loss=step.last.loss + 1e-3))
    alone = Adaptive(rtol=0.01, audit=None, run_rtol=None)(asked)
    integral = Adaptive(rtol=0.01, audit=None, run_rtol=0.0)(asked)
    assert (alone.evaluations, integral.evaluations) == (0, 1)
    assert (integral.status, integral.audited, integral.discarded) == (Status.OK, False, True)
    assert integral.leaf_allocation == pytest.approx(1.0)
    # By the ends and the middle, where the gradient is 1.3, the trapezoid rule has 1.15.
    assert integral.leaf_error == pytest.approx(-0.15)
    assert integral.coarser["x"] == pytest.approx(1.15)


@given(st.floats(0.1, 0.9), st.integers(0, 1000))
def test_collinear_steps_add_up(cut, seed):
    """Two steps on one line allocate, element by element, what the whole step does."""
    problem, start, end = random_polynomial(5, seed)
    middle = {k: start[k] + cut * (end[k] - start[k]) for k in start}
    whole, one, two = (
        Adaptive(rtol=1e-12, atol=1e-12, audit=None)(segment(problem, a, b))
        for a, b in ((start, end), (start, middle), (middle, end))
    )
    parts = one.leaf_allocation + two.leaf_allocation
    assert np.allclose(parts, whole.leaf_allocation, rtol=1e-10, atol=1e-10)


def test_live_gradients_do_not_grow_with_the_panels():
    """However many points a step takes, few of the oracle's gradients are alive at once."""
    alive, most = weakref.WeakSet(), 0

    class Tagged(np.ndarray):
        __hash__ = object.__hash__

    def evaluate(params):
        nonlocal most
        gradient = np.sign(params["x"] - 0.3141).view(Tagged)
        alive.add(gradient)
        most = max(most, len(alive))
        return Evaluation(np.float64(0), {"x": gradient})

    step = evolve(KINKED(), evaluate=evaluate)
    assert Adaptive(0, 0, max_panels=256, audit=None)(step).evaluations == 255
    gc.collect()
    assert 1 <= most <= 3


@pytest.mark.parametrize(
    ("integrator", "copies"),
    [
        (Adaptive(0, 0, max_panels=64, audit=None), 7 + 5),
        (Fixed(composite(SIMPSON, 32)), 8),
    ],
    ids=["adaptive", "fixed"],
)
def test_memory_grows_at_most_with_the_halvings(integrator, copies):
    """64 panels need one sum for each of the 7 levels and a few temporaries, not 64 gradients."""
    size = 200_000
    kinks = np.linspace(0.2, 0.21, size)
    curve = Curve(lambda x: np.sign(x - kinks), lambda x: np.abs(x - kinks))
    step = segment(curve, {"x": np.zeros(size)}, {"x": np.ones(size)})
    tracemalloc.start()
    integral = integrator(step)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert integral.evaluations == 63
    assert peak < copies * 8 * size


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rtol": -1e-3}, "rtol must be a finite number from 0 up, got -0.001"),
        ({"atol": math.nan}, "atol must be a finite number from 0 up, got nan"),
        ({"rtol": math.inf}, "rtol .*got inf"),
        ({"max_panels": 0}, "max_panels must be a power of two from 1 up, got 0"),
        ({"max_panels": 12}, "max_panels .*got 12"),
        ({"audit": 0}, "audit must be None or a number of steps from 1 up, got 0"),
        ({"audit": 2.5}, "audit must be .* got 2.5"),
        ({"max_panels": 2.0}, "max_panels must be a power of two from 1 up, got 2.0"),
        ({"rtol": "x"}, "rtol must be a finite number from 0 up, got 'x'"),
    ],
)
def test_settings_are_checked(settings, message):
    """A setting out of range is refused by name, with what came."""
    with pytest.raises(RuleError, match=message):
        Adaptive(**settings)


@pytest.mark.parametrize(
    "integrator", [Adaptive(), Adaptive(1e-3, 0, 8, True, None), Fixed(MIDPOINT)]
)
def test_descriptions_are_complete(integrator):
    """The settings that go into the run file tell any two different integrators apart."""
    described = integrator.describe()
    assert described["kind"] == type(integrator).__name__
    if isinstance(integrator, Adaptive):
        rest = {k: v for k, v in described.items() if k != "kind"}
        assert Adaptive(**rest) == integrator
    else:
        assert described != Fixed(LOBATTO_5).describe()
        assert described != Fixed(MIDPOINT, Tolerance(rtol=0.5)).describe()
        assert described != Fixed(MIDPOINT, Tolerance(atol=0.5)).describe()
