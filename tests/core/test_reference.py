"""The numpy reference: gradients written by hand against central differences."""

import numpy as np
import pytest

from lca_core.reference import Linear, NumpyOps, Perceptron, Polynomial, Quadratic, logistic
from lca_core.reference.ops import snapshot

RNG = np.random.default_rng(3)
INPUTS = RNG.standard_normal((12, 5))
LABELS = RNG.integers(4, size=12)
SYMMETRIC = RNG.standard_normal((6, 6)) + np.eye(6)
POLYNOMIAL = {"a": RNG.standard_normal((2, 3)), "b": np.array(0.7), "c": np.zeros((0, 2))}


def random_params(layout):
    """Return weights of every leaf, biases included."""
    return {leaf.name: 0.5 * RNG.standard_normal(leaf.shape) for leaf in layout.leaves}


PROBLEMS = {
    "relu": Perceptron(INPUTS, LABELS, (5, 7, 6, 4), "relu"),
    "tanh": Perceptron(INPUTS, LABELS, (5, 7, 6, 4), "tanh"),
    "logistic": logistic(INPUTS, LABELS, 4),
    "linear": Linear(INPUTS, RNG.standard_normal((12, 3))),
    "quadratic": Quadratic(SYMMETRIC + SYMMETRIC.T, RNG.standard_normal(6)),
    **{f"power {p}": Polynomial(POLYNOMIAL, p) for p in range(1, 7)},
}


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_gradients_are_the_slopes_of_the_loss(problem):
    """In every coordinate the gradient is the central difference of the loss."""
    params = random_params(problem.layout)
    gradient = problem(params, {}).gradient
    assert list(gradient) == list(problem.layout.names)
    step = 1e-5
    for name, leaf in params.items():
        assert np.shape(gradient[name]) == leaf.shape
        for place in np.ndindex(leaf.shape):
            shift = np.zeros(leaf.shape)
            shift[place] = step
            ahead = problem(params | {name: leaf + shift}, {}).loss
            behind = problem(params | {name: leaf - shift}, {}).loss
            slope = (ahead - behind) / (2 * step)
            assert gradient[name][place] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_cross_entropy_is_minus_the_log_of_the_softmax():
    """The perceptron's loss is the mean of -log p(label), written out plainly."""
    problem = PROBLEMS["logistic"]
    params = random_params(problem.layout)
    logits = INPUTS @ params["fc1.weight"].T + params["fc1.bias"]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = -np.log(chances[np.arange(12), LABELS]).mean()
    assert float(problem(params, {}).loss) == pytest.approx(truth, rel=1e-14)


def test_large_logits_do_not_overflow():
    """Losses of very sure networks are finite."""
    problem = PROBLEMS["logistic"]
    params = {k: 1e4 * leaf for k, leaf in random_params(problem.layout).items()}
    evaluation = problem(params, {})
    assert np.isfinite(evaluation.loss)
    assert np.isfinite(evaluation.gradient["fc1.weight"]).all()


@pytest.mark.parametrize("name", ["quadratic", "power 1", "power 3", "power 6"])
def test_closed_forms_close(name):
    """Exact allocations sum to the exact loss change."""
    problem = PROBLEMS[name]
    start, end = random_params(problem.layout), random_params(problem.layout)
    total = sum(float(np.sum(a)) for a in problem.allocation(start, end).values())
    change = float(problem(end, {}).loss - problem(start, {}).loss)
    assert total == pytest.approx(change, rel=1e-12)


@pytest.mark.parametrize("keep", [None, 0, 1, 2])
def test_sums_keep_one_axis(keep):
    """NumpyOps.sum keeps the axis it is told, accumulates in float64 and counts booleans."""
    array = RNG.standard_normal((2, 3, 4)).astype(np.float32)
    axes = tuple({0, 1, 2} - {keep})
    assert np.allclose(NumpyOps().sum(array, keep), array.astype(float).sum(axis=axes), rtol=1e-14)
    assert NumpyOps().sum(array, keep).dtype == np.float64
    assert np.array_equal(NumpyOps().sum(array > 0, keep), (array > 0).sum(axis=axes))


def test_snapshots_are_owned():
    """An in-place update after the snapshot does not reach it."""
    params = {"x": np.ones(3)}
    taken = snapshot(params)
    params["x"] += 1
    assert np.array_equal(taken.params["x"], np.ones(3))
