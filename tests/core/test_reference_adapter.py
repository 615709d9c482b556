"""The numpy reference as an adapter: live arrays, and training whose books close."""

import numpy as np
import pytest

from lca_core import SIMPSON, Adaptive, Fixed, Status, load
from lca_core.adapters import find_adapter
from lca_core.datasets import Dataset, Split, digits
from lca_core.errors import ResumeError
from lca_core.networks import Activation, Dense, Dropout, Flatten, NetworkSpec, fc, resnet
from lca_core.optimizers import SGD, Adam, Drops, Override
from lca_core.reference import Perceptron
from lca_core.reference.adapter import ADAPTER
from lca_core.training import TrainingSpec

RESNET = resnet((8, 8, 1), widths=(3, 4), blocks=1)


@pytest.fixture(scope="module")
def few():
    """Return a few of scikit-learn's digits."""
    pytest.importorskip("sklearn")
    whole = digits()
    return Dataset("few digits", whole.train.first(120), whole.val.first(40), 10)


def trained(spec, dataset, **tracking):
    """Train by the adapter and return the run."""
    return ADAPTER.train(spec, dataset, on_step=lambda tracker: None, tracking=tracking)


def noisy(rate):
    """Return a small network with dropout."""
    layers = [Flatten(), Dense(20), Activation("tanh"), Dropout(rate), Dense(10)]
    return NetworkSpec("noisy", (8, 8, 1), layers)


def test_it_is_found_by_its_place():
    """`package.module:NAME` is the adapter."""
    assert find_adapter("lca_core.reference.adapter:ADAPTER") is ADAPTER
    assert ADAPTER.name == "numpy"


class TestTraining:
    def test_it_is_the_perceptrons_descent(self, few):
        """Losses are those of a loop written out over the hand-written perceptron."""
        spec = TrainingSpec(
            fc((8, 8, 1), hidden=(9,)),
            SGD(0.1, 0.9),
            Drops([1]),
            batch_size=50,
            epochs=2,
            overrides={"fc2": Override(learning_rate=0.05, frozen_from=3)},
        )
        run = trained(spec, few)
        theta = {
            k.replace("kernel", "weight"): v.astype(float).T for k, v in spec.initial().items()
        }
        speed = {name: np.zeros(leaf.shape) for name, leaf in theta.items()}
        x, y = few.train.inputs.reshape(120, -1).astype(float), few.train.labels
        whole = Perceptron(x, y, (64, 9, 10))
        losses = [float(whole(theta, {}).loss)]
        for step, batch in enumerate(spec.batches(120)):
            gradient = Perceptron(x[batch], y[batch], (64, 9, 10))(theta, {}).gradient
            for name, leaf in theta.items():
                if name.startswith("fc2") and step >= 3:
                    continue
                rate = (0.05 if name.startswith("fc2") else 0.1) * (0.1 if step >= 3 else 1.0)
                speed[name] = 0.9 * speed[name] + gradient[name]
                theta[name] = leaf - rate * speed[name]
            losses.append(float(whole(theta, {}).loss))

        np.testing.assert_allclose(run.loss("train"), losses, rtol=1e-12)

    def test_books_close(self, few):
        """Both measures fall, every step is ok, and allocations sum to the change."""
        run = trained(TrainingSpec(fc((8, 8, 1)), SGD(0.1), batch_size=40, epochs=4), few)
        for measure in ("train", "val"):
            loss = run.loss(measure)
            allocated = run.allocation(measure).values.sum()
            assert (run.status(measure) == Status.OK).all()
            assert loss[-1] < 0.8 * loss[0]
            assert allocated + run.gap(measure).sum() == pytest.approx(loss[-1] - loss[0])
            assert allocated == pytest.approx(loss[-1] - loss[0], rel=1e-2)

    @pytest.mark.parametrize("mode", ["eval", "batch-stats"])
    def test_books_close_with_batch_norm(self, few, mode):
        """Moving averages have their own term in "eval" mode, and none with batch statistics."""
        spec = TrainingSpec(RESNET, Adam(3e-3), batch_size=60, epochs=3)
        run = trained(spec, few, mode=mode, integrator=Adaptive(rtol=1e-2))
        change = np.diff(run.loss("train"))
        parts = run.allocation("train").values.sum(axis=1) + run.buffers("train") + run.gap("train")

        np.testing.assert_allclose(parts, change, rtol=1e-9, atol=1e-12)
        assert (run.status("train") == Status.OK).all()
        assert (run.buffers("train") != 0).all() == (mode == "eval")
        assert np.abs(run.gap("train")).max() < 1e-2 * np.abs(change).max()

    def test_the_mode_is_no_part_of_the_training(self, few):
        """Both modes, and any integrator, follow the very same iterates."""
        spec = TrainingSpec(RESNET, batch_size=60, epochs=1)
        one = trained(spec, few, mode="batch-stats", batch_size=120)
        other = trained(spec, few, mode="batch-stats", integrator=Fixed(SIMPSON), batch_size=120)

        np.testing.assert_array_equal(one.loss("train"), other.loss("train"))

    def test_dropout_follows_the_seed(self, few):
        """The same seed gives the same run; without dropout it is another one."""
        with_dropout, again, without = (
            trained(TrainingSpec(noisy(rate), batch_size=60, epochs=1), few).loss("train")
            for rate in (0.5, 0.5, 0.0)
        )
        np.testing.assert_array_equal(with_dropout, again)
        assert with_dropout[0] == without[0]
        assert with_dropout[1] != without[1]

    def test_global_random_numbers_are_not_touched(self, few):
        """Training and looking draw nothing from numpy's global stream."""
        np.random.seed(3)
        before = np.random.random(3)
        np.random.seed(3)
        trained(TrainingSpec(noisy(0.5), batch_size=60, epochs=1), few, every=2)

        np.testing.assert_array_equal(np.random.random(3), before)

    def test_files_tell_the_data_and_the_mode(self, few, tmp_path):
        """The run file knows adapter, mode and data, and refuses to go on with other data."""
        spec = TrainingSpec(fc((8, 8, 1), hidden=()), batch_size=60, epochs=1)
        seen = []
        ADAPTER.train(
            spec,
            few,
            on_step=lambda tracker: seen.append(tracker.iteration),
            tracking={
                "path": tmp_path / "run",
                "mode": "batch-stats",
                "chunk": 1,
                "batch_size": 50,
            },
        )
        config = load(tmp_path / "run").config

        assert seen == [1, 2]
        assert (config["adapter"], config["mode"]) == ("numpy", "batch-stats")
        assert config["data"]["train"]["examples"] == 120
        assert config["batch_size"] == {"train": 50, "val": 50}
        other = Dataset("other", Split(few.train.inputs[::-1], few.train.labels[::-1]), few.val, 10)
        with pytest.raises(ResumeError):
            trained(
                spec, other, path=tmp_path / "run", mode="batch-stats", resume=True, batch_size=50
            )


class TestProblems:
    def test_layouts_are_the_specs_in_float64(self):
        """Names, layers and units are canonical, element types float64."""
        split = Split(np.zeros((2, 8, 8, 1), np.float32), np.zeros(2, np.int64))
        problem = ADAPTER.network(RESNET, RESNET.initial(0), split, mode="eval", batch_size=None)
        snapshot = problem.capture()

        assert [(leaf.name, leaf.layer, leaf.unit_axis) for leaf in problem.layout.leaves] == [
            (leaf.name, leaf.layer, leaf.unit_axis) for leaf in RESNET.layout.leaves
        ]
        assert {leaf.dtype for leaf in problem.layout.leaves} == {"float64"}
        assert tuple(snapshot.buffers) == RESNET.buffers
        for name, values in RESNET.initial(0).items():
            held = {**snapshot.params, **snapshot.buffers}[name]
            assert held.dtype == np.float64
            np.testing.assert_array_equal(held, values)
            assert ADAPTER.spelling(RESNET)[name].native(values).shape == values.shape

    def test_buffers_are_measured_where_the_loss_depends_on_them(self):
        """With batch statistics the snapshot has no buffers, and the model still has them."""
        split = Split(np.zeros((2, 8, 8, 1), np.float32), np.zeros(2, np.int64))
        weights = RESNET.initial(0)
        problem = ADAPTER.network(RESNET, weights, split, mode="batch-stats", batch_size=None)

        assert problem.capture().buffers == {}
        assert set(RESNET.buffers) < set(problem.traces())

    def test_the_givens_stay_the_callers(self):
        """Neither params nor data nor weights that the caller changes reach the problem."""
        start, data = {"a": np.ones(2)}, {"c": np.ones((3, 2))}
        ops = ADAPTER.ops
        problem = ADAPTER.problem(
            lambda leaves, batch: ops.sum(batch["c"] * leaves["a"], keep=0),
            start, data, tied={}, batch_size=None,
        )  # fmt: skip
        start["a"] += 1
        data["c"] += 1
        found = problem.oracle(problem.capture().params, {})

        assert float(found.loss) == 2.0
        np.testing.assert_array_equal(found.gradient["a"], [1.0, 1.0])

    def test_assignments_move_in_place(self):
        """A move reaches the live array that somebody holds, and no snapshot."""
        problem = ADAPTER.problem(
            lambda leaves, batch: batch["c"] * leaves["a"],
            {"a": np.array(1.0)}, {"c": np.ones(3)}, tied={}, batch_size=1,
        )  # fmt: skip
        live, taken = problem.params["a"], problem.capture()
        problem.assign({"a": np.array(4.0)})

        assert live == 4.0
        assert taken.params["a"] == 1.0
        assert problem.capture().params["a"] == 4.0

    def test_traces_tell_of_every_change(self):
        """A moved leaf, a moved buffer and a drawn random number all show."""
        split = Split(np.zeros((2, 8, 8, 1), np.float32), np.zeros(2, np.int64))
        problem = ADAPTER.network(RESNET, RESNET.initial(0), split, mode="eval", batch_size=None)
        for change in (
            lambda: problem.assign({"fc1.bias": np.ones(10)}),
            lambda: problem.buffers["bn1.mean"].__iadd__(1.0),
            np.random.random,
        ):
            before = dict(problem.traces())
            assert dict(problem.traces()) == before
            change()
            assert dict(problem.traces()) != before
