"""Adapters that are each wrong in one realistic way; the suite has to fail every one.

Each is the PyTorch adapter with one part replaced. `BROKEN` says which promise it breaks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import torch
from attrs import evolve, frozen
from torch import nn

from lca_core import Evaluation, Layout, Snapshot
from lca_torch import tracking as torch_tracking
from lca_torch.adapter import ADAPTER
from lca_torch.parameters import Leaves

MUTANTS: dict[str, Any] = {}
BROKEN: dict[str, str] = {}


def mutant(suite: str):
    """Register a function that makes a mutant, with the suite that has to fail it."""

    def register(make):
        name = make.__name__
        MUTANTS[name] = make()
        BROKEN[name] = suite
        globals()[name.upper()] = MUTANTS[name]
        return make

    return register


class Mutant:
    """The PyTorch adapter, some of whose methods are replaced."""

    def __init__(self, **replaced):
        self._replaced = replaced

    def __getattr__(self, name):
        """Return the replacement, or what the adapter has."""
        return self._replaced[name] if name in self._replaced else getattr(ADAPTER, name)


@frozen
class Problem:
    """A problem, some of whose parts are replaced."""

    base: Any
    replaced: dict[str, Any]

    def __getattr__(self, name):
        """Return the replacement, or what the problem has."""
        return self.replaced[name] if name in self.replaced else getattr(self.base, name)


class Oracle:
    """An oracle whose answers pass through a function of (oracle, params, buffers)."""

    def __init__(self, base, answer):
        self.base, self.answer, self.eps = base, answer, base.eps

    def __call__(self, params, buffers):
        """Answer."""
        return self.answer(self.base, params, buffers)


def altered(change):
    """Return a mutant whose problems and networks pass through `change`."""
    return Mutant(
        problem=lambda *args, **kwargs: change(ADAPTER.problem(*args, **kwargs)),
        network=lambda *args, **kwargs: change(ADAPTER.network(*args, **kwargs)),
    )


def answering(answer):
    """Return a mutant whose oracles pass through `answer`."""
    return altered(lambda problem: Problem(problem, {"oracle": Oracle(problem.oracle, answer)}))


def with_gradient(change):
    """Return a mutant whose gradients pass through `change`."""

    def answer(oracle, params, buffers):
        found = oracle(params, buffers)
        return Evaluation(found.loss, change(dict(found.gradient)))

    return answering(answer)


def live(problem):
    """Return the live parameters of a problem."""
    return dict(problem.oracle.leaves.model.named_parameters())


@mutant("Snapshots")
def aliasing_snapshot():
    """Keep references instead of copies."""

    def change(problem):
        def capture():
            kept = problem.capture()
            return Snapshot({k: live(problem)[k].detach() for k in kept.params}, kept.buffers)

        return Problem(problem, {"capture": capture})

    return altered(change)


@mutant("Examples")
def sum_instead_of_mean():
    """Sum the losses over examples."""

    def change(problem):
        n = problem.oracle.source.examples

        def answer(oracle, params, buffers):
            found = oracle(params, buffers)
            return Evaluation(n * found.loss, {k: n * g for k, g in found.gradient.items()})

        return Problem(problem, {"oracle": Oracle(problem.oracle, answer)})

    return altered(change)


@mutant("Oracles")
def swapped_leaves():
    """Hand out the gradients of two leaves of one shape in the wrong order."""
    return with_gradient(lambda g: {**g, "a": g["c"], "c": g["a"]} if {"a", "c"} <= g.keys() else g)


@mutant("Oracles")
def transposed_kernel():
    """Hand out the gradient of a square kernel transposed."""

    def turned(leaf):
        return leaf.T if leaf.dim() == 2 and leaf.shape[0] == leaf.shape[1] else leaf

    return with_gradient(lambda g: {k: turned(leaf) for k, leaf in g.items()})


class StuckDropout(nn.Dropout):
    """Dropout that does not heed the flag."""

    def forward(self, x):
        """Drop."""
        return nn.functional.dropout(x, self.p, training=True)


@mutant("Purity")
def dropout_left_on():
    """Leave dropout on while the loss is measured."""

    def change(problem):
        model = problem.oracle.leaves.model
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Dropout):
                setattr(model, name, StuckDropout(module.p))
        return problem

    return altered(change)


@mutant("Purity")
def batch_norm_moved():
    """Let the looking move the averages of batch norm."""

    def answer(oracle, params, buffers):
        for name, buffer in oracle.leaves.model.named_buffers():
            if name.endswith("running_mean"):
                buffer.lerp_(torch.ones_like(buffer), 0.1)
        return oracle(params, buffers)

    return answering(answer)


@mutant("Purity")
def batch_statistics_always():
    """Normalise by the chunk's own statistics in "eval" mode too."""
    return Mutant(
        network=lambda *args, **kwargs: ADAPTER.network(*args, **{**kwargs, "mode": "batch-stats"})
    )


@mutant("Purity")
def random_stream_used():
    """Draw from the global random stream while looking."""

    def answer(oracle, params, buffers):
        torch.rand(1)
        return oracle(params, buffers)

    return answering(answer)


@mutant("Purity")
def live_model_moved():
    """Move the live model to the point, and leave it there."""

    def answer(oracle, params, buffers):
        held = dict(oracle.leaves.model.named_parameters())
        with torch.no_grad():
            for name, leaf in params.items():
                held[oracle.leaves.keys[name]].copy_(leaf)
        return oracle(params, buffers)

    return answering(answer)


@mutant("Purity")
def gradients_left_behind():
    """Leave the gradients of the measurement on the live parameters."""

    def answer(oracle, params, buffers):
        found = oracle(params, buffers)
        held = dict(oracle.leaves.model.named_parameters())
        for name, leaf in found.gradient.items():
            held[oracle.leaves.keys[name]].grad = leaf.clone()
        return found

    return answering(answer)


def cut(change):
    """Return a mutant whose data pass through `change(data, batch_size)`."""

    def problem(loss, params, data, *, tied, batch_size):
        return ADAPTER.problem(
            loss, params, change(data, batch_size), tied=tied, batch_size=batch_size
        )

    return Mutant(problem=problem)


@mutant("Examples")
def dropped_remainder():
    """Drop the last, smaller batch."""

    def change(data, size):
        n = len(next(iter(data.values())))
        whole = n - n % size if size and size < n else n
        return {name: values[:whole] for name, values in data.items()}

    return cut(change)


@mutant("Examples")
def mean_of_chunk_means():
    """Average over chunks, the small one as much as the others."""

    def problem(loss, params, data, *, tied, batch_size):
        n = len(next(iter(data.values())))
        size = min(batch_size or n, n)
        edges = [*range(0, n, size), n]
        parts = [
            ADAPTER.problem(
                loss, params, {k: v[a:b] for k, v in data.items()}, tied=tied, batch_size=None
            )
            for a, b in pairwise(edges)
        ]

        def answer(_, params, buffers):
            found = [part.oracle(params, buffers) for part in parts]
            share = 1.0 / len(found)
            return Evaluation(
                share * sum(one.loss for one in found),
                {k: share * sum(one.gradient[k] for one in found) for k in found[0].gradient},
            )

        return Problem(parts[0], {"oracle": Oracle(parts[0].oracle, answer)})

    return Mutant(problem=problem)


@mutant("Examples")
def redrawn_probe():
    """Look at another random half of the examples at every call."""

    def problem(loss, params, data, *, tied, batch_size):
        rng = np.random.default_rng(0)
        whole = ADAPTER.problem(loss, params, data, tied=tied, batch_size=batch_size)
        n = len(next(iter(data.values())))

        def answer(_, at, buffers):
            rows = rng.permutation(n)[: max(1, n // 2)]
            half = {k: v[rows] for k, v in data.items()}
            probe = ADAPTER.problem(loss, params, half, tied=tied, batch_size=None)
            return probe.oracle(at, buffers)

        return Problem(whole, {"oracle": Oracle(whole.oracle, answer)})

    return Mutant(problem=problem)


@mutant("Oracles")
def stale_gradient():
    """Hand out the gradient of the call before."""

    def change(problem):
        kept = []

        def answer(oracle, params, buffers):
            kept.append(oracle(params, buffers))
            return Evaluation(kept[-1].loss, kept[-2:][0].gradient)

        return Problem(problem, {"oracle": Oracle(problem.oracle, answer)})

    return altered(change)


@mutant("Oracles")
def live_point():
    """Look where the live model stands, whatever point is asked for."""

    def change(problem):
        def answer(oracle, params, buffers):
            return oracle(problem.capture().params, buffers)

        return Problem(problem, {"oracle": Oracle(problem.oracle, answer)})

    return altered(change)


def remembering(key):
    """Return a mutant whose oracles answer from memory where `key` of the point is the same."""

    def change(problem):
        known = {}

        def answer(oracle, params, buffers):
            found = key(params)
            if found not in known:
                known[found] = oracle(params, buffers)
            return known[found]

        return Problem(problem, {"oracle": Oracle(problem.oracle, answer)})

    return altered(change)


@mutant("Oracles")
def remembered_by_sums():
    """Take points for the same that have the same sum."""
    return remembering(lambda params: round(sum(float(p.sum()) for p in params.values()), 4))


@mutant("Oracles")
def remembered_by_the_dict():
    """Take points for the same that come in the same dict."""
    return remembering(id)


@mutant("Oracles")
def reused_gradient_buffer():
    """Write every gradient into the same memory."""

    def change(problem):
        buffer = {k: torch.zeros_like(p) for k, p in problem.capture().params.items()}

        def answer(oracle, params, buffers):
            found = oracle(params, buffers)
            for name, leaf in found.gradient.items():
                buffer[name].copy_(leaf)
            return Evaluation(found.loss, buffer)

        return Problem(problem, {"oracle": Oracle(problem.oracle, answer)})

    return altered(change)


@mutant("Oracles")
def loss_in_float32():
    """Average the losses in float32."""

    def answer(oracle, params, buffers):
        found = oracle(params, buffers)
        return Evaluation(found.loss.float().double(), found.gradient)

    return answering(answer)


@mutant("Layouts")
def wrong_unit_axis():
    """Count the inputs of a kernel as its units."""

    def change(problem):
        leaves = (
            evolve(leaf, unit_axis=1) if len(leaf.shape) > 1 else leaf
            for leaf in problem.layout.leaves
        )
        return Problem(problem, {"layout": Layout(leaves)})

    return altered(change)


@mutant("Layouts")
def biases_in_layers_of_their_own():
    """Group kernels and biases apart."""

    def change(problem):
        leaves = (evolve(leaf, layer=leaf.name) for leaf in problem.layout.leaves)
        return Problem(problem, {"layout": Layout(leaves)})

    return altered(change)


@mutant("Leaves")
def tied_leaf_counted_twice():
    """Follow both names of a tied leaf."""

    def problem(loss, params, data, *, tied, batch_size):
        both = {**params, **{alias: params[name] for alias, name in tied.items()}}
        return ADAPTER.problem(loss, both, data, tied={}, batch_size=batch_size)

    return Mutant(problem=problem)


@mutant("Leaves")
def unused_leaf_forgotten():
    """Leave leaves without a gradient out of it."""
    return with_gradient(lambda g: {k: leaf for k, leaf in g.items() if bool((leaf != 0).any())})


class Ops(type(ADAPTER.ops)):
    """The array functions, each of them wrong on its own."""


class PromotingOps(Ops):
    """Brings everything to the device as float64."""

    def from_numpy(self, array, like):
        """Forget the type."""
        return torch.tensor(array, dtype=torch.float64)


@mutant("Arrays")
def promotion_to_float64():
    """Bring host arrays to the device as float64."""
    return Mutant(ops=PromotingOps())


@mutant("Types")
def gradients_in_float64():
    """Hand out gradients wider than the leaves."""
    return with_gradient(lambda g: {k: leaf.double() for k, leaf in g.items()})


class Float32Ops(Ops):
    """Sums in the arrays' own type."""

    def sum(self, array, keep=None):
        """Sum in float32."""
        return super().sum(array, keep).float().double()


@mutant("Arrays")
def sums_in_float32():
    """Add up in float32."""
    return Mutant(ops=Float32Ops())


class AnyOps(Ops):
    """Takes "how many" for "whether any"."""

    def sum(self, array, keep=None):
        """Say whether any is true."""
        found = super().sum(array, keep)
        return found.clamp(max=1) if array.dtype == torch.bool else found


@mutant("Arrays")
def booleans_not_counted():
    """Say whether any is true instead of how many."""
    return Mutant(ops=AnyOps())


class SignBitOps(Ops):
    """Reads the sign bit: zero has a sign then."""

    def sign(self, array):
        """Return -1 or 1."""
        return torch.where(torch.signbit(array), -1.0, 1.0).to(array.dtype)


@mutant("Arrays")
def zeros_with_a_sign():
    """Take zero for positive, so that parameters at rest hurt."""
    return Mutant(ops=SignBitOps())


class ContagiousSignOps(Ops):
    """Has no number for the sign of what is none, as most frameworks."""

    def sign(self, array):
        """Return -1, 0, 1 or NaN."""
        return torch.where(torch.isnan(array), array, super().sign(array))


@mutant("Arrays")
def signs_that_are_no_numbers():
    """Let one lost gradient stay in every count behind it."""
    return Mutant(ops=ContagiousSignOps())


class TransposedPlacesOps(Ops):
    """Counts places in the order of Fortran."""

    def take(self, array, places):
        """Return other elements, unless there is one axis."""
        return super().take(array.T if array.dim() > 1 else array, places)


@mutant("Arrays")
def places_counted_down_the_columns():
    """Watch another parameter than the one that was named."""
    return Mutant(ops=TransposedPlacesOps())


class UnsignedHistogramOps(Ops):
    """Shifts with the sign: what is negative falls outside."""

    def histogram(self, array):
        """Count sizes only."""
        return super().histogram(abs(array))


@mutant("Arrays")
def histogram_without_signs():
    """Count helpers as hurters."""
    return Mutant(ops=UnsignedHistogramOps())


class AliasingOps(Ops):
    """Shares memory with the host."""

    def to_numpy(self, array):
        """Return a view."""
        return array.detach().numpy()

    def from_numpy(self, array, like):
        """Return a view."""
        return torch.from_numpy(np.asarray(array)).to(like.dtype)


@mutant("Arrays")
def memory_shared_with_the_host():
    """Share memory with numpy arrays."""
    return Mutant(ops=AliasingOps())


def training(change):
    """Return a mutant that trains something else than it was told."""

    def train(spec, dataset, **options):
        return ADAPTER.train(change(spec), dataset, **options)

    return Mutant(train=train)


@mutant("Training")
def momentum_forgotten():
    """Train by SGD without its momentum."""
    return training(
        lambda spec: (
            evolve(spec, optimizer=evolve(spec.optimizer, momentum=0.0))
            if hasattr(spec.optimizer, "momentum")
            else spec
        )
    )


@mutant("Training")
def order_of_its_own():
    """Shuffle the examples in an order of its own; the weights are the right ones."""

    class Shuffled(type(ADAPTER)):
        def train(self, spec, dataset, **options):
            order = np.random.default_rng(99).permutation(len(dataset.train))
            train = evolve(
                dataset.train,
                inputs=dataset.train.inputs[order],
                labels=dataset.train.labels[order],
            )
            return super().train(spec, evolve(dataset, train=train), **options)

    return Shuffled()


@mutant("Training")
def frozen_layer_moves():
    """Forget to freeze."""
    return training(
        lambda spec: evolve(
            spec,
            overrides={k: evolve(v, frozen_from=None) for k, v in spec.overrides.items()},
        )
    )


@mutant("Training")
def schedule_forgotten():
    """Keep the learning rate."""
    from lca_core.optimizers import Constant

    return training(lambda spec: evolve(spec, schedule=Constant()))


@mutant("Training")
def every_step_closed():
    """Close a segment at every step, whatever it was told."""

    def train(spec, dataset, *, tracking, **options):
        tracking = {k: v for k, v in tracking.items() if k != "every"}
        return ADAPTER.train(spec, dataset, tracking=tracking, **options)

    return Mutant(train=train)


def capturing(change):
    """Return a mutant that keeps other buffers of the live ones, and those it should keep."""
    capture = Leaves.capture

    def changed(leaves):
        kept, alive = capture(leaves), dict(leaves.model.named_buffers())
        return Snapshot(kept.params, change({k: alive[k] for k in kept.buffers}, kept.buffers))

    def train(*args, **options):
        with mock.patch.object(Leaves, "capture", changed):
            return ADAPTER.train(*args, **options)

    return Mutant(train=train)


@mutant("Training")
def averages_shared():
    """Keep the live moving averages instead of copies."""
    return capturing(lambda alive, _: alive)


@mutant("Training")
def averages_of_the_start():
    """Keep the moving averages that were there first."""
    first = {}
    return capturing(lambda _, kept: first.setdefault(tuple(kept), kept))


@mutant("Training")
def rounding_of_another_type():
    """Let gaps of real errors pass as rounding: a training claims the epsilon of bfloat16."""

    def train(*args, **options):
        with mock.patch.object(torch_tracking, "machine_epsilon", return_value=2.0**-7):
            return ADAPTER.train(*args, **options)

    return Mutant(train=train)


@mutant("Oracles")
def epsilon_of_another_type():
    """Claim the epsilon of float16 for losses in float32."""

    def change(problem):
        oracle = Oracle(problem.oracle, lambda oracle, *point: oracle(*point))
        oracle.eps = 2.0**-10
        return Problem(problem, {"oracle": oracle})

    return altered(change)


def sampling(change):
    """Return a mutant that measures other samples than it was told."""

    def train(spec, dataset, *, tracking, **options):
        if asked := tracking.get("sampling"):
            tracking = {**tracking, "sampling": change(asked)}
        return ADAPTER.train(spec, dataset, tracking=tracking, **options)

    return Mutant(train=train)


@mutant("Samples")
def classes_drawn_together():
    """Draw from all examples alike where every class was to have its share."""
    return sampling(lambda asked: evolve(asked, stratified=False))


@mutant("Samples")
def sample_drawn_once():
    """Stay with one draw where every step was to have its own."""
    return sampling(lambda asked: evolve(asked, probe=asked.redrawn or asked.probe, redrawn=None))
