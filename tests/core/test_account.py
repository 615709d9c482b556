"""Gaps of one sign must not add up: what the steps so far have left open is kept in sight."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core import Adaptive, Partition, load
from lca_core.account import Account
from lca_core.errors import RuleError
from lca_core.partition import expanded, shares
from lca_core.reference import Perceptron, Polynomial, track

CUBIC = Polynomial({"x": np.array([1.0])}, power=3)
STEPS = 120


def descent(begin=0, end=STEPS):
    """Return iterates from 3 down to 1: every trapezoid of x³ is too large, Simpson's is exact."""
    return [{"x": np.array([3.0 - 2.0 * k / STEPS])} for k in range(begin, end + 1)]


def walked(points, **settings):
    """Return the run along some iterates; alone, any trapezoid closes."""
    tracking = {k: settings.pop(k) for k in ("path", "resume", "chunk") if k in settings}
    integrator = Adaptive(rtol=1.0, audit=None, **settings)
    oracles = {"train": CUBIC}
    with track(oracles, points[0], CUBIC.layout, integrator=integrator, **tracking) as tracker:
        for point in points[1:]:
            tracker.step(point)
    return tracker.run


def test_gaps_of_one_sign_add_up_where_nobody_looks():
    """What the others hold against: the gap of every step is h³/2 by x³'s third derivative."""
    run = walked(descent(), run_rtol=None)
    h = 2.0 / STEPS
    np.testing.assert_allclose(run.gap("train"), h**3 / 2, rtol=1e-8)
    assert run.evaluations("train").sum() == STEPS


@pytest.mark.parametrize("run_rtol", [5e-6, 1e-6])
def test_the_gaps_so_far_stay_within_the_runs_tolerance(run_rtol):
    """At every step |Σ gap| ≤ run_rtol·Σ|ΔL|, and no more steps are refined than that takes."""
    run = walked(descent(), run_rtol=run_rtol, atol=0.0)
    so_far = np.cumsum(run.gap("train"))
    bound = run_rtol * (run.loss("train")[0] - run.loss("train")[1:])
    assert np.all(so_far <= bound * (1 + 1e-9))
    refined = run.evaluations("train") > 1
    # Each trapezoid that was kept is owed to the way travelled since.
    assert 0 < refined.sum() < STEPS
    assert so_far[-1] > bound[-1] - 2 * (2.0 / STEPS) ** 3
    assert np.all(run.status("train") == 0)


def test_a_gap_back_towards_zero_is_welcome():
    """On the way up the gaps have the other sign: what was left open is closed without a look."""
    there = descent()
    run = walked([*there, *there[::-1][1:]], run_rtol=3e-6, atol=0.0)
    gaps, evaluations = run.gap("train"), run.evaluations("train")
    up = slice(STEPS, STEPS + 20)
    assert np.all(gaps[up] < 0)
    assert np.all(evaluations[up] == 1)


def test_atol_holds_for_the_sum_too():
    """A loss that hardly moves asks for no more than atol."""
    assert walked(descent(), run_rtol=0.0, atol=1e-3).evaluations("train").sum() == STEPS
    assert walked(descent(), run_rtol=0.0, atol=1e-4).evaluations("train").sum() > STEPS


@pytest.mark.parametrize("cut", [1, 37, 80])
def test_a_resumed_run_remembers_what_was_open(tmp_path, cut):
    """Interrupted and resumed, the same steps are refined as in the whole run."""
    whole = walked(descent(), run_rtol=3e-6)
    path = tmp_path / "run.zarr"
    walked(descent(0, cut), run_rtol=3e-6, path=path, chunk=8)
    resumed = walked(descent(cut), run_rtol=3e-6, path=path, chunk=8, resume=True)
    for name in ("gap", "evaluations", "allocation"):
        np.testing.assert_array_equal(resumed.rows[name], whole.rows[name])
    assert whole.evaluations("train")[cut:].sum() > STEPS - cut


def test_a_checkpoint_that_does_not_say_leaves_nothing_open(tmp_path):
    """Files from before go on as if their steps had closed without a gap."""
    path = tmp_path / "run.zarr"
    walked(descent(0, 80), run_rtol=3e-6, path=path)
    for meta in path.glob("checkpoints/*/0/zarr.json"):
        said = json.loads(meta.read_text())
        del said["attributes"]["gap"], said["attributes"]["travelled"]
        meta.write_text(json.dumps(said))
    walked(descent(80), run_rtol=3e-6, path=path, resume=True)
    gaps = load(path).gap("train")[80:]
    assert gaps[0] > 0.0  # the whole run refines this step: it has nothing left to leave open


def test_parts_keep_the_books_of_their_whole():
    """Every part is held to its own account, and so is the whole, at every step."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((60, 4)), rng.integers(3, size=60)
    loss = Perceptron(x, y, (4, 6, 3), "tanh")
    points = [loss.initial(0)]
    for _ in range(150):
        slope = loss(points[-1], {}).gradient
        points.append({k: w - 0.3 * slope[k] for k, w in points[-1].items()})

    def pick(data, places, _):
        return Perceptron(data.inputs[places], data.labels[places], (4, 6, 3), "tanh")

    oracles, parts = expanded({"train": Partition(loss, y)}, pick)
    wholes = shares(parts, lambda part: len(oracles[part].labels))

    def sums(run_rtol):
        integrator = Adaptive(rtol=1.0, atol=1e-9, audit=None, run_rtol=run_rtol)
        settings = {"integrator": integrator, "wholes": wholes}
        with track(oracles, points[0], loss.layout, **settings) as tracker:
            for point in points[1:]:
                tracker.step(point)
        run = tracker.run
        change = np.abs(np.diff(run.loss("train")))
        return {
            measure: np.abs(np.cumsum(run.gap(measure)))
            / np.cumsum(np.minimum(np.abs(np.diff(run.loss(measure))), change))
            for measure in run.measures
        }

    loose, tight = sums(None), sums(5e-5)
    for measure in tight:
        assert loose[measure][-1] > 7e-5
        assert np.all(tight[measure][9:] <= 5e-5)


@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 2)), st.sampled_from([math.nan, math.inf]))
def test_an_account_is_the_sum_of_its_finite_steps(steps, lost):
    """Sums of gaps and of sizes of changes, whatever was lost between them."""
    account = Account()
    for change, gap in steps:
        account = account.after(change=change, gap=gap).after(change=lost, gap=gap)
        account = account.after(change=change, gap=lost)
    assert account.gap == pytest.approx(sum(gap for _, gap in steps), abs=1e-9)
    assert account.travelled == pytest.approx(sum(abs(change) for change, _ in steps), abs=1e-9)


@pytest.mark.parametrize("run_rtol", [-1e-3, math.inf, math.nan, "much"])
def test_what_is_no_tolerance_is_refused(run_rtol):
    """A finite number from 0 up, or None."""
    with pytest.raises(RuleError, match="run_rtol"):
        Adaptive(run_rtol=run_rtol)
