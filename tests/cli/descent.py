"""A noisy descent with everything observed, for figures."""

import numpy as np

from lca_core import (
    Adaptive,
    Distribution,
    Oscillation,
    Partition,
    Sizes,
    Tallies,
    Watch,
    default_observers,
)
from lca_core.partition import expanded, shares
from lca_core.reference import Perceptron, track

SIZES = (4, 6, 5, 3)
PLACES = [("fc1.weight", (0, 1)), ("fc2.bias", (3,)), ("fc3.weight", (2, 2))]


def observed(steps, *, moving=True, broken=()):
    """Return a noisy descent by class, with validation and all observers."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    x = rng.standard_normal((3, 4))[y] + 0.7 * rng.standard_normal((90, 4))

    def pick(data, places, _):
        return Perceptron(data.inputs[places], data.labels[places], SIZES, "tanh")

    train = Perceptron(x[:60], y[:60], SIZES, "tanh")
    data = {"train": Partition(train, y[:60]), "val": Perceptron(x[60:], y[60:], SIZES, "tanh")}
    oracles, parts = expanded(data, pick)
    params, layout = train.initial(0), train.layout
    observers = [*default_observers(layout), Tallies(), Oscillation(), Sizes(), Distribution()]
    with track(
        oracles,
        params,
        layout,
        observers=[*observers, Watch(PLACES)],
        wholes=shares(parts, lambda part: len(oracles[part].labels)),
        integrator=Adaptive(),
    ) as tracker:
        for t in range(steps):
            gradient = train(params, {}).gradient
            noise = {k: 0.2 * rng.standard_normal(v.shape) for k, v in params.items()}
            step = {k: -0.5 * gradient[k] + noise[k] for k in params}
            params = {k: v + moving * step[k] for k, v in params.items()}
            lost = {k: np.full_like(v, np.nan) for k, v in params.items()}
            tracker.step(lost if t in broken else params)
    return tracker.run
