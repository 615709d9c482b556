"""Allocations are those of closed forms and of a float64 reference, however the data are cut."""

from __future__ import annotations

import copy
from collections import OrderedDict

import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core import SIMPSON, Adaptive, Fixed, composite
from lca_core.reference import Perceptron, Polynomial, Quadratic
from lca_core.reference import track as track_numpy

FINE = Fixed(composite(SIMPSON, 2))


def flat(params):
    """Return parameters as the numpy reference has them."""
    return {
        f"{k}.{name}": leaf.astype(np.float64) for k in params for name, leaf in params[k].items()
    }


def reference(iterates, data, integrator):
    """Return the run of the same iterates in numpy and float64."""
    problem = Perceptron(data[0].astype(np.float64), data[1], (12, 8, 4), "tanh")
    wide = [flat(params) for params in iterates]
    with track_numpy({"train": problem}, wide[0], problem.layout, integrator=integrator) as tracker:
        for params in wide[1:]:
            tracker.step(params)
    return tracker.run


@pytest.mark.parametrize("integrator", [FINE, Adaptive(rtol=1e-3)], ids=["fixed", "adaptive"])
def test_every_row_is_that_of_a_float64_reference(
    perceptron, iterates, blobs, followed, integrator
):
    """Losses, gaps, errors, leaves, units, counts and totals agree to float32's precision."""
    truth = reference(iterates, blobs, integrator)
    run = followed(perceptron, iterates, blobs, integrator=integrator)

    np.testing.assert_array_equal(run.rows["evaluations"], truth.rows["evaluations"])
    np.testing.assert_allclose(run.loss("train"), truth.loss("train"), rtol=1e-6)
    for name in ("gap", "allocation", "error", "unit_allocation"):
        np.testing.assert_allclose(run.rows[name], truth.rows[name], atol=1e-6, err_msg=name)
    for name, values in truth.total("train").items():
        found = run.total("train")[name.replace(".", "/")]
        np.testing.assert_allclose(found, values, atol=1e-6)
    assert np.abs(run.rows["helped"] - truth.rows["helped"]).sum() <= 1


def test_rows_are_in_the_order_of_the_layout(followed):
    """Names out of alphabetical order stay with their own numbers through compiled calls."""
    coefficients = {"z": np.ones(3), "a": np.full((2, 2), 2.0), "m": np.array(3.0)}
    problem = Polynomial(coefficients, power=2)

    def loss_fn(params, batch):
        value = sum((c * params[name] ** 2).sum() for name, c in coefficients.items())
        return value + 0.0 * batch

    def point(value):
        return OrderedDict(
            (k, np.full(c.shape, value, np.float32)) for k, c in coefficients.items()
        )

    for integrator in (Adaptive(), Fixed(SIMPSON), Adaptive(certify=True)):
        run = followed(loss_fn, [point(1.0), point(3.0)], jnp.ones(5), integrator=integrator)
        truth = problem.allocation(point(1.0), point(3.0))

        assert run.layout.names == ("z", "a", "m")
        expected = [truth[name].sum() for name in ("z", "a", "m")]
        np.testing.assert_allclose(run.rows["allocation"][0, 0], expected, rtol=1e-6)
        assert run.rows["hurt"][0, 0].tolist() == [3, 4, 1]
        for name, values in run.total("train").items():
            np.testing.assert_allclose(values, truth[name], rtol=1e-6)


def test_a_coupled_quadratic_is_exact(followed):
    """The trapezoid rule's allocation is (H·midpoint + b)·Δ, coordinate by coordinate."""
    rng = np.random.default_rng(1)
    hessian = rng.standard_normal((6, 6))
    problem = Quadratic(hessian + hessian.T, rng.standard_normal(6))
    points = [{"x": rng.standard_normal(6).astype(np.float32)} for _ in range(2)]

    def loss_fn(params, batch):
        x = params["x"]
        quadratic = 0.5 * x @ jnp.asarray(problem.hessian) @ x + jnp.asarray(problem.linear) @ x
        return quadratic * jnp.ones_like(batch)

    run = followed(loss_fn, points, np.zeros(7, np.float32))

    np.testing.assert_allclose(run.total("train")["x"], problem.allocation(*points)["x"], rtol=2e-5)


@pytest.mark.parametrize("size", [1, 33, 1000])
def test_chunks_do_not_matter(perceptron, iterates, blobs, size):
    """Every example counts once whatever the chunks, ragged ones included."""
    problem = Perceptron(blobs[0].astype(np.float64), blobs[1], (12, 8, 4), "tanh")
    truth = problem(flat(iterates[0]), {})
    tracker = lca_jax.track(perceptron, iterates[0], blobs, batch_size=size)
    found = tracker._state.evaluations["train"]

    assert float(found.loss) == pytest.approx(float(truth.loss), rel=1e-6)
    for name, gradient in truth.gradient.items():
        np.testing.assert_allclose(found.gradient[name.replace(".", "/")], gradient, atol=1e-6)


def test_a_step_into_nan_is_marked_and_totals_survive(perceptron, iterates, blobs, followed):
    """A NaN is recorded as such; what was recorded before it stays; later steps count again."""
    broken = copy.deepcopy(iterates[1])
    broken["fc1"]["bias"][3] = np.nan
    run = followed(perceptron, [*iterates[:2], broken, *iterates[1:3]], blobs)

    assert [int(s) for s in run.status("train")] == [0, 3, 3, 0]
    total = sum(leaf.sum() for leaf in run.total("train").values())
    finite = run.allocation("train").values[[0, 3]].sum()
    assert total == pytest.approx(finite, rel=1e-5)


def test_totals_keep_the_digits_of_float64(followed):
    """A million small allocations on top of a large one are not lost in float32."""
    points = [{"x": np.float32(1.0)}, {"x": np.float32(4096.0)}]
    points += [{"x": np.float32(4096.0 + (i % 2) * 2.0**-11)} for i in range(1, 40)]
    run = followed(lambda p, batch: p["x"] * batch, points, np.ones(3, np.float32))
    exact = float(points[-1]["x"]) - 1.0

    assert float(run.total("train")["x"]) == pytest.approx(exact, rel=1e-9)
