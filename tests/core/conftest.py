"""Problems, oracles and iterates that the tests of the core share."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from lca_core.reference import Perceptron

# Files and a busy machine are slow, and what is found must be found again.
SLOW = [HealthCheck.too_slow]
settings.register_profile("core", deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.load_profile("core")


class Counted:
    """An oracle that writes down where it was asked."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.eps = oracle.eps
        self.points = []

    def __call__(self, params, buffers):
        """Evaluate, and remember the point."""
        self.points.append({name: np.array(leaf) for name, leaf in params.items()})
        return self.oracle(params, buffers)


@pytest.fixture
def counted():
    """Wrap an oracle so that it counts its calls."""
    return Counted


@pytest.fixture(scope="session")
def perceptron():
    """Return a small smooth perceptron on three blobs."""
    rng = np.random.default_rng(5)
    labels = rng.integers(3, size=40)
    inputs = rng.standard_normal((3, 4))[labels] + 0.5 * rng.standard_normal((40, 4))
    return Perceptron(inputs, labels, (4, 6, 3), "tanh")


@pytest.fixture(scope="session")
def descent():
    """Return a function that makes the iterates of full-batch gradient descent."""

    def iterates(problem, steps, *, rate=0.5, seed=0, start=None):
        params = problem.initial(seed) if start is None else start
        path = [params]
        for _ in range(steps):
            gradient = problem(params, {}).gradient
            params = {name: leaf - rate * gradient[name] for name, leaf in params.items()}
            path.append(params)
        return path

    return iterates
