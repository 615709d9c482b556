"""What the `lca` command and the conformance suite ask for: live models, networks, training.

Networks are of `Flatten`, `Dense` and ReLU or tanh; the optimizer is SGD.
"""

from typing import Any

import autograd.numpy as anp
import numpy as np
from attrs import frozen

from lca_autograd.tracking import AutogradOps, AutogradOracle, capture, layout_of, owned, track
from lca_core import Layout
from lca_core.adapters import Spelling
from lca_core.errors import UnsupportedError
from lca_core.networks import Activation, Dense, Flatten
from lca_core.optimizers import SGD


@frozen
class AutogradProblem:
    """`lca_core.adapters.Problem`: live arrays with their loss."""

    layout: Layout
    oracle: AutogradOracle
    live: Any

    def capture(self):
        return capture(self.live)

    def assign(self, params):
        for name, values in params.items():
            self.live[name][...] = values

    def traces(self):
        stream = repr(np.random.get_state()).encode()
        return {"random stream": stream} | {k: leaf.tobytes() for k, leaf in self.live.items()}


def built(placed):
    """Return a layer as a function of (params, x)."""
    kernel, bias = f"{placed.name}.kernel", f"{placed.name}.bias"
    match placed.layer:
        case Flatten():
            return lambda params, x: x.reshape(len(x), -1)
        case Dense() as dense:
            return lambda params, x: x @ params[kernel] + (params[bias] if dense.bias else 0.0)
        case Activation("relu"):
            return lambda params, x: x * (x > 0)
        case Activation("tanh"):
            return lambda params, x: anp.tanh(x)
    raise UnsupportedError(f"lca_autograd does not build layer '{placed.name}', {placed.layer}.")


def cross_entropy(spec):
    """Return the loss of a network, a number an example."""
    layers = [built(placed) for placed in spec.placed]

    def loss(params, batch):
        x = batch["inputs"]
        for layer in layers:
            x = layer(params, x)
        x = x - anp.max(x, axis=1, keepdims=True)
        return anp.log(anp.sum(anp.exp(x), axis=1)) - x[np.arange(len(x)), batch["labels"]]

    return loss


def examples(split):
    """Return a split as the loss takes it."""
    return {"inputs": split.inputs.astype(np.float64), "labels": split.labels}


class AutogradAdapter:
    """`lca_core.adapters.Adapter` for HIPS autograd."""

    name, ops = "autograd", AutogradOps()
    array = staticmethod(np.array)

    def problem(self, loss, params, data, *, tied, batch_size):
        def by_every_name(leaves, batch):
            return loss({**leaves, **{alias: leaves[name] for alias, name in tied.items()}}, batch)

        oracle = AutogradOracle(by_every_name, owned(data), batch_size or 1000)
        return AutogradProblem(layout_of(params, tied), oracle, owned(params, np.float64))

    def network(self, spec, weights, split, *, mode, batch_size):
        loss, data = cross_entropy(spec), examples(split)
        return self.problem(loss, weights, data, tied={}, batch_size=batch_size)

    def spelling(self, spec):
        return {k: Spelling(k, tuple(range(len(w.shape)))) for k, w in spec.weights.items()}

    def train(self, spec, dataset, *, on_step, tracking, by_class=False):
        asked = "by class" if by_class else next(filter(tracking.get, ("resume", "sampling")), None)
        if asked or not isinstance(spec.optimizer, SGD):
            raise UnsupportedError(f"lca_autograd trains by SGD, not {asked or spec.optimizer}.")
        loss, params = cross_entropy(spec.network), owned(spec.initial(), np.float64)
        data = {"train": examples(dataset.train), "val": examples(dataset.val)}
        velocity, n = dict.fromkeys(params, 0.0), len(dataset.train)
        steps = enumerate(zip(spec.batches(n), spec.factors(n), strict=True))
        # Nothing that is built here is different in "batch-stats" mode.
        options = {name: value for name, value in tracking.items() if name != "mode"}
        with track(loss, params, data, **options) as tracker:
            for step, (chosen, factor) in steps:
                batch = {name: array[chosen] for name, array in data["train"].items()}
                gradient = AutogradOracle(loss, batch, n)(params, {}).gradient
                for group in (group for group in spec.groups if group.moves(step)):
                    for name in group.leaves:
                        velocity[name] = group.optimizer.momentum * velocity[name] + gradient[name]
                        params[name] -= factor * group.optimizer.learning_rate * velocity[name]
                tracker.step(params)
                on_step(tracker)
        return tracker.run


ADAPTER = AutogradAdapter()
