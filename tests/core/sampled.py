"""A small problem that is looked at through samples, and the path of a training on it."""

import numpy as np

from lca_core import Redrawn, Redraws
from lca_core.redraws import Apart
from lca_core.reference import Perceptron, track

N, SIZES = 240, (3, 4, 3)
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, 3))
Y = (X @ RNG.standard_normal((3, 3)) + 0.5 * RNG.standard_normal((N, 3))).argmax(axis=1)
EPS = float(np.finfo(np.float64).eps)


def problem(places=slice(None)):
    """Return a small network's loss over some examples."""
    return Perceptron(X[places], Y[places], SIZES, "tanh")


LAYOUT = problem().layout


def pick(places):
    """Return a sample, as an adapter does."""
    return Apart([problem(row) for row in places])


def redrawn(n=40, pick=pick, **options):
    """Return the measure that a probe makes."""
    return Redraws.of(Redrawn((X, Y), n, **options), N, pick, EPS)


def path(steps, rate=0.5):
    """Return iterates of stochastic gradient descent."""
    rng = np.random.default_rng(1)
    points = [problem().initial(0)]
    for _ in range(steps):
        gradient = problem(rng.choice(N, 30, replace=False))(points[-1], {}).gradient
        points.append({k: w - rate * gradient[k] for k, w in points[-1].items()})
    return points


POINTS = path(12)


def walked(oracles, points=POINTS, layout=LAYOUT, **options):
    """Return the run along a path."""
    with track(oracles, points[0], layout, **options) as tracker:
        for point in points[1:]:
            tracker.step(point)
    return tracker.run
