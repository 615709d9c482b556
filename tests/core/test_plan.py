"""Before a run: what each way of measuring would cost, and how exact it would be."""

import json
import math
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from attrs import define

from lca_core import (
    TRAPEZOID,
    Adaptive,
    Allocator,
    Counts,
    Fixed,
    Snapshot,
    overhead,
    planning,
    tracker,
    walks,
)
from lca_core.adapters import find_adapter
from lca_core.datasets import Source, digits
from lca_core.errors import RuleError
from lca_core.plan import Plan, budgeted
from lca_core.reference import NumpyOps, Polynomial, track
from lca_core.sampling import Sampling
from lca_core.training import TrainingSpec
from lca_core.ways import Noise, Way, rows

NUMPY = find_adapter("lca_core.reference.adapter:ADAPTER")


@define
class CompilesLater:
    """A loss whose fifth evaluation takes long, as where a step compiles that is refined."""

    loss: Polynomial
    calls: int = 0
    eps: float = 2.0**-52

    def __call__(self, params, buffers):
        self.calls += 1
        time.sleep(0.6 if self.calls == 5 else 0.0)
        return self.loss(params, buffers)


def test_a_step_that_compiles_late_is_not_taken_for_the_usual():
    """The second step is slow, once: the walk begins again, and all its steps count."""
    problem = Polynomial({"x": np.array([1.0, 2.0])}, power=2)
    points = [Snapshot({"x": np.full(2, 0.9**k)}) for k in range(8)]
    core = Allocator(
        NumpyOps(), {"train": CompilesLater(problem)}, problem.layout, Fixed(TRAPEZOID)
    )
    walk = walks.Route(points, {}).walk(core)
    assert walk.closed < 0.1
    assert len(walk.allocated) == 7


WAYS = [
    Way("all", 1000, 1000, seconds=8.0, memory=5),
    Way("probe", 100, 1000, seconds=1.0, memory=5),
    Way("redrawn", 100, 1000, seconds=2.0, memory=7),
]
NOISE = Noise(change=-0.1, variance=0.09, loss=5.0)


def planned(budget=None, noise=NOISE):
    """Return the plan of a training whose step takes two seconds."""
    found = rows(WAYS, noise, alone=2.0, steps=400, budget=budget)
    return Plan(found, 400, 2.0, gradient=7.0, bookkeeping=1.0, observers=0.5, budget=budget)


def test_costs_of_rows():
    """Time is that of the training and a k-th of a look; without a budget, k is 1 and 10."""
    found = {(row.kind, row.every): (row.seconds, row.factor) for row in planned().rows}
    assert found == {
        ("all", 1): (10.0, 5.0),
        ("all", 10): (2.8, pytest.approx(1.4)),
        ("probe", 1): (3.0, 1.5),
        ("probe", 10): (2.1, pytest.approx(1.05)),
        ("redrawn", 1): (4.0, 2.0),
        ("redrawn", 10): (2.2, pytest.approx(1.1)),
    }


def test_a_budget_is_kept_as_finely_as_it_can_be():
    """With a budget, each way comes as often as fits: one look more would not fit."""
    plan = planned(1.25)
    for way in WAYS:
        every = max(row.every for row in plan.rows if row.kind == way.kind)
        assert 1.0 + way.seconds / (every * 2.0) <= 1.25 < 1.0 + way.seconds / ((every - 1) * 2.0)


def test_expected_errors():
    """Fresh examples average over the steps that can bring the loss to zero, a probe over none."""
    one = math.sqrt(0.9 * 0.09 / 100) / 0.1
    found = {(row.kind, row.every): row.error for row in planned().rows}
    assert found["all", 1] == found["all", 10] == 0.0
    assert found["probe", 1] == found["probe", 10] == pytest.approx(one)
    assert found["redrawn", 1] == pytest.approx(one / math.sqrt(5.0 / 0.1))
    assert found["redrawn", 10] == pytest.approx(one / math.sqrt(5.0))


@pytest.mark.parametrize("loss", [-5.0, 0.0, math.nan])
def test_a_loss_that_is_not_above_zero_has_no_end(loss):
    """A density's loss may fall for ever: its error averages over all steps of the training."""
    one = math.sqrt(0.9 * 0.09 / 100) / 0.1
    found = Noise(change=-0.1, variance=0.09, loss=loss).of(WAYS[2], every=1, steps=400)
    assert found == pytest.approx(one / math.sqrt(400))


@pytest.mark.parametrize(
    ("budget", "kind", "every"),
    [(None, "all", 1), (5.0, "all", 1), (2.0, "redrawn", 1), (1.01, "all", 400)],
)
def test_the_best(budget, kind, every):
    """Fine steps with small errors go first; where errors are large, exact books do."""
    best = planned(budget).best
    assert (best.kind, best.every) == (kind, every)
    assert best.factor <= (budget or math.inf)


@pytest.mark.parametrize("budget", [None, 1.5, 1.01, 1.0001])
@pytest.mark.parametrize("steps", [1, 6, 60])
def test_no_look_comes_after_the_end(steps, budget):
    """A training of few steps is never looked at every so many that it has no such step."""
    found = rows(WAYS, NOISE, alone=2.0, steps=steps, budget=budget)
    assert max(row.every for row in found) <= steps
    best = Plan(found, steps, 2.0, 7.0, 1.0, 0.5, budget).best
    assert best is None or best.factor <= (budget or math.inf)


def test_what_is_not_known_is_said():
    """Without samples or the training's time there is a table still, and valid JSON."""
    found = rows(WAYS, Noise(), alone=math.nan, steps=400, budget=None)
    plan = Plan(found, 400, math.nan, gradient=7.0, bookkeeping=1.0, observers=math.nan)
    assert plan.best.kind == "all"
    assert "not known yet" in str(plan)
    values = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    assert values["alone"] is None
    assert values["rows"][values["best"]]["kind"] == "all"


def test_errors_of_steps_of_its_own_are_rough(clock):
    """A plan that saw no step of the training says so, and what to pass; one that did does not."""
    followed, iterates = quartic(clock, at=(0.9, 0.8, 0.7))
    own, real = str(followed.plan()), str(followed.plan(iterates=iterates))
    assert "roughly 1 s.e." in own
    assert "To know, pass successive values of tracker.iterate." in own
    assert "roughly" not in real
    assert "tracker.iterate" not in real


def test_nothing_is_recommended_where_the_loss_is_no_number():
    """A network that has diverged closes no books; the plan says so instead."""
    problem = Polynomial({"x": np.ones(2)}, 2)
    with pytest.warns(RuntimeWarning, match="no step is booked before"):
        tracker = track({"train": problem}, {"x": np.full(2, np.nan)}, problem.layout)
    plan = tracker.plan(budget=None)
    assert plan.best is None
    assert "none of this will do" in plan.recommendation
    assert "The loss is not finite where this was measured" in str(plan)
    assert json.loads(json.dumps(plan.to_json()))["best"] is None


def test_a_choice_that_tells_nothing_is_called_so():
    """Where 95 % of a total reach beyond zero, the recommendation says that its sign is open."""
    fresh = [way for way in WAYS if way.kind == "redrawn"]
    for variance, doubt in ((0.09, False), (9_000.0, True)):
        found = rows(fresh, Noise(-0.1, variance, 5.0), alone=2.0, steps=400, budget=None)
        plan = Plan(found, 400, 2.0, gradient=7.0, bookkeeping=1.0, observers=0.5)
        assert ("not even the sign" in plan.recommendation) is doubt


def test_no_row_twice():
    """Two rows never look at the same examples equally often, where errors are unknown too."""
    found = rows(WAYS, Noise(), alone=2.0, steps=400, budget=9.0)
    assert [(row.kind, row.every) for row in found] == [(way.kind, 1) for way in WAYS]


@pytest.mark.parametrize("steps", [0, -3, 2.5])
def test_steps_that_are_none(clock, steps):
    """A training has a whole number of steps, from 1 up."""
    with pytest.raises(RuleError, match="steps must be a whole number from 1 up"):
        walked(clock, 3).plan(steps=steps)


@pytest.mark.parametrize(
    ("number", "words"), [(1, "3 or more successive"), (2, "got 2"), (5, "No parameter moves")]
)
def test_iterates_that_are_no_steps(clock, number, words):
    """Too few iterates, and one iterate again and again, are refused with the remedy."""
    followed = walked(clock, 3)
    with pytest.raises(RuleError, match=words):
        followed.plan(iterates=[followed.iterate] * number)


@pytest.mark.parametrize("budget", ["1.5x", "1.5X", "1.5×", " 1.5 ", 1.5])
def test_budgets(budget):
    """A budget is a number, with one sign of times behind it or none."""
    assert budgeted(budget) == 1.5


@pytest.mark.parametrize("budget", ["cheap", "1x", "1.5xx", "1.5x×", 0.5, "nan", math.inf])
def test_budgets_that_are_none(budget):
    """A budget is a number above 1."""
    with pytest.raises(RuleError, match="a number above 1"):
        budgeted(budget)


@pytest.fixture
def clock(monkeypatch):
    """Return a list of one time, which all that measures takes for now."""
    now = [0.0]
    fake = SimpleNamespace(perf_counter=lambda: now[0])
    for module in (overhead, tracker, planning, walks):
        monkeypatch.setattr(module, "time", fake)
    return now


class Timed(Polynomial):
    """A loss whose every evaluation takes a second of the fake clock."""

    def __call__(self, params, buffers):
        """Evaluate."""
        self.clock[0] += 1.0
        return super().__call__(params, buffers)


class Slow(Counts):
    """An observer that takes half a second of the fake clock."""

    def update(self, ops, layout, view, state):
        """Observe."""
        self.clock[0] += 0.5
        return super().update(ops, layout, view, state)


def walked(clock, steps, capture=0.0, observers=None):
    """Return a tracker after some steps of ten seconds, and captures of so many."""
    problem = Timed({"x": np.ones(2)}, 2)
    object.__setattr__(problem, "clock", clock)
    followed = track({"train": problem}, {"x": np.ones(2)}, problem.layout, observers=observers)
    captured = followed._capture

    def slowly(params):
        clock[0] += capture
        return captured(params)

    followed._capture = slowly
    for t in range(steps):
        clock[0] += 10.0
        followed.step({"x": np.full(2, 1.0 - 0.01 * (t + 1))})
    return followed


def test_gradients_are_timed(clock):
    """A parabola closes with one gradient a step, which takes a second: 1 + 1/10."""
    plan = walked(clock, 5).plan()
    assert (plan.alone, plan.gradient, plan.bookkeeping) == (10.0, 1.0, 0.0)
    assert [row.factor for row in plan.rows] == [1.1, 1.01]
    assert walked(clock, 0).plan(training_seconds=2.0).rows[0].factor == 1.5


def quartic(clock, every=1, at=(), run_rtol=None):
    """Return a tracker of a quartic, whose segments need the more gradients the longer they are."""
    problem = Timed({"x": np.ones(2)}, 4)
    object.__setattr__(problem, "clock", clock)
    core = {"every": every, "integrator": Adaptive(audit=None, run_rtol=run_rtol)}
    followed = track({"train": problem}, {"x": np.ones(2)}, problem.layout, **core)
    iterates = [followed.iterate]
    for x in at:
        clock[0] += 10.0
        followed.step({"x": np.full(2, x)})
        iterates.append(followed.iterate)
    return followed, iterates


def test_longer_segments_count_the_gradients_they_take(clock):
    """A segment of eight steps counts the gradients that a run at every eight takes for it."""
    at = 1.0 - 0.05 * np.arange(1, 9)
    followed, iterates = quartic(clock, at=at)
    longer, _ = quartic(clock, every=8, at=at)
    taken = longer.last()["evaluations"]
    assert taken > followed.last()["evaluations"]
    plan = followed.plan(1.0 + taken / 80.0, iterates=iterates)
    assert plan.segments[8] == taken
    assert (plan.best.every, plan.best.factor) == (8, 1.0 + taken / 80.0)
    assert f"{taken:.2g} for 8" in str(plan)


@pytest.mark.parametrize(("run_rtol", "gradients"), [(None, 1.0), (1e-4, 2.0)])
def test_a_plan_goes_on_with_what_is_open(clock, run_rtol, gradients):
    """Steps that close alone, but whose gaps would add up, are planned as the run takes them."""
    followed, iterates = quartic(clock, at=1.0 - 0.05 * np.arange(1, 9), run_rtol=run_rtol)
    assert followed.last()["evaluations"] == gradients
    assert followed.plan(iterates=iterates[-3:]).segments[1] == gradients
    fresh, _ = quartic(clock, run_rtol=run_rtol)
    assert fresh.plan(iterates=iterates, training_seconds=1.0).segments[1] == 1.0


def test_refinement_is_no_bookkeeping(clock):
    """Where only gradients take time, a step that is refined has no bookkeeping."""
    followed, iterates = quartic(clock, at=(0.5, 0.25, 0.125, 0.06))
    assert followed.last()["evaluations"] > 1.0
    for given in ((), iterates):
        plan = followed.plan(iterates=given)
        assert plan.bookkeeping == 0.0
        assert plan.rows[0].seconds > 11.0


@pytest.mark.parametrize(("capture", "slower"), [(0.0, 0.0), (0.25, 0.25), (3.0, 0.5)])
def test_what_a_measurement_takes_in_its_loop(clock, capture, slower):
    """What it takes longer there than when planned is added, at most as much as bookkeeping."""
    slow = Slow()
    object.__setattr__(slow, "clock", clock)
    plan = walked(clock, 5, capture, (slow,)).plan()
    assert plan.gradient == 1.0
    assert plan.bookkeeping == pytest.approx(0.5 + slower)
    assert plan.rows[0].seconds == pytest.approx(10.0 + 1.5 + slower)


def test_planning_is_no_overhead(clock):
    """The time of planning counts neither as measuring nor as training."""

    def found(*, plans):
        followed, before = walked(clock, 5), clock[0]
        if plans:
            followed.plan("2x")
            assert clock[0] > before
        for x in (0.5, 0.4):
            clock[0] += 10.0
            followed.step({"x": np.full(2, x)})
        return followed.overhead

    one, other = found(plans=True), found(plans=False)
    assert (one.seconds, one.steps) == (other.seconds, other.steps)
    assert one.alone == other.alone == 10.0


def test_a_budget_needs_the_time_of_the_training(clock):
    """Before the first steps nobody knows it: the error says what to do."""
    with pytest.raises(RuleError, match="pass training_seconds"):
        walked(clock, 0).plan("2x")


def trained(sampling=None, on_step=lambda _: None, epochs=2):
    """Return the run of a short training on a few digits."""
    spec = TrainingSpec(epochs=epochs, batch_size=50)
    tracking = {"sampling": sampling} if sampling else {}
    few = Source("digits", None, 300).load()
    return NUMPY.train(spec, few, on_step=on_step, tracking=tracking)


@pytest.mark.parametrize("sampling", [None, Sampling(redrawn=50, probe=50)])
def test_planning_disturbs_nothing(sampling):
    """A run in which plans were made is bit for bit the run without."""

    def plan(followed):
        if followed.iteration in (1, 7):
            found = followed.plan("3x", training_seconds=1.0)
            assert {row.kind for row in found.rows} == {"all", "probe", "redrawn"}

    one, other = trained(sampling), trained(sampling, plan)
    for name, rows_ in one.rows.items():
        np.testing.assert_array_equal(other.rows[name], rows_, err_msg=name)
    for name, values in one.total("train").items():
        np.testing.assert_array_equal(other.total("train")[name], values, err_msg=name)


def test_the_expected_error_is_that_of_a_run():
    """What a plan on real steps expects of 100 fresh examples, the run itself tells: within 1.5."""
    spec, steps, iterates, plans = TrainingSpec(epochs=6, batch_size=150), 60, [], []

    def plan(followed):
        iterates.append(followed.iterate)
        if followed.iteration == 24:
            plans.append(followed.plan(steps=steps, iterates=iterates[-9:]))

    redrawn = {"sampling": Sampling(redrawn=100, probe=100)}
    run = NUMPY.train(spec, digits(), on_step=plan, tracking=redrawn)
    (row,) = [r for r in plans[0].rows if (r.kind, r.examples, r.every) == ("redrawn", 100, 1)]
    everything = lambda _: "all"  # noqa: E731
    squares = run.standard_error("train", everything).values ** 2
    told = math.sqrt(squares.sum()) / abs(run.allocation("train", everything).values.sum())
    assert told / 1.5 < row.error < told * 1.5


def test_data_that_are_sampled_already():
    """A tracker that looks at a probe plans for all examples behind it too."""
    plans = []

    def plan(followed):
        if followed.iteration == 3:
            plans.append(followed.plan(training_seconds=1.0))

    trained(Sampling(probe=50), plan, epochs=1)
    assert plans[0].rows[0].examples == 300


def test_the_variance_of_one_example():
    """Means over n/m examples vary by m/n of what one example does; so it is found again."""
    sizes = {100: 50, 1000: 500}
    rng = np.random.default_rng(0)
    walks = {
        n: SimpleNamespace(subsamples=rng.normal(0.0, 3.0 / math.sqrt(size), (4000, 2)))
        for n, size in sizes.items()
    }
    whole = SimpleNamespace(allocated=np.array([-1.0, -3.0]), loss=2.0)
    noise = planning._noise(whole, walks)
    assert (noise.change, noise.loss) == (-2.0, 2.0)
    assert noise.variance == pytest.approx(9.0, rel=0.05)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("measures", [1, 2])
def test_planned_memory_holds_what_steps_take(measures, every):
    """Steps that are all refined, and observed by default, take at most what was planned."""
    rng, size = np.random.default_rng(0), (3, 100_000)
    x = rng.standard_normal(size)
    problems = [Polynomial({"x": rng.standard_normal(size)}, 2) for _ in range(measures)]
    oracles = {str(i): problem for i, problem in enumerate(problems)}
    integrator = Adaptive(audit=1)
    tracemalloc.start()
    try:
        options = {"integrator": integrator, "every": every}
        followed = track(oracles, {"x": x}, problems[0].layout, **options)
        planned = followed.plan(training_seconds=1.0).rows[0].memory
        tracemalloc.reset_peak()
        for factor in np.linspace(0.9, 0.8, 2 * every):
            followed.step({"x": factor * x})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    own = x.nbytes  # factor * x, which the tracker did not make
    assert 0.6 * planned <= peak - own <= planned
