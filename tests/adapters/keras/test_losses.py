"""The measured loss is the compiled one: what `model.evaluate` says, however the data are cut."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import lca_keras
from lca_core.errors import DataError, LossError
from lca_keras.data import source


def measured(model: keras.Model, data, **options) -> float:
    """Return the loss over the data where the model stands."""
    return lca_keras.track(model, data, **options).finish().loss("train")[0]


@pytest.mark.parametrize("batch_size", [None, 33])
def test_weights_of_examples_and_of_classes_count_as_in_keras(plain, blobs, batch_size):
    """Keras divides by the number of examples, not by the sum of their weights."""
    x, y = blobs
    weights = np.linspace(0.0, 3.0, len(y)).astype("float32")
    classes = {0: 0.5, 1: 2.0, 3: 4.0}
    by_class = np.array([classes.get(int(label), 1.0) for label in y], "float32")
    whole = plain.evaluate(x, y, sample_weight=weights, batch_size=101, verbose=0)
    of_classes = plain.evaluate(x, y, sample_weight=by_class, batch_size=101, verbose=0)

    assert measured(plain, (x, y, weights), batch_size=batch_size) == pytest.approx(whole, rel=1e-6)
    found = measured(plain, blobs, class_weight=classes, batch_size=batch_size)
    assert found == pytest.approx(of_classes, rel=1e-6)


@pytest.mark.parametrize("batch_size", [None, 33])
def test_regularizers_are_part_of_the_loss_by_choice(blobs, batch_size):
    """Off by default; on, each penalty counts once, whatever the number of chunks."""
    x, y = blobs
    penal = keras.regularizers.L2(0.1)
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4, kernel_regularizer=penal)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with_penalty = model.evaluate(x, y, batch_size=101, verbose=0)
    penalty = 0.1 * float((model.get_weights()[0].astype(np.float64) ** 2).sum())

    on = measured(model, blobs, regularizers=True, batch_size=batch_size)
    off = measured(model, blobs, batch_size=batch_size)
    assert on == pytest.approx(with_penalty, rel=1e-6)
    assert on - off == pytest.approx(penalty, rel=1e-5)


def test_a_penalty_has_its_share_of_the_gradient(blobs):
    """With regularizers=True the books close over the penalty's motion too."""
    x, y = blobs
    penal = keras.regularizers.L2(0.5)
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4, kernel_regularizer=penal)])
    model.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    tracker = lca_keras.track(model, blobs, regularizers=True, batch_size=50)
    for _ in range(3):
        model.train_on_batch(x, y)
        tracker.step()
    run = tracker.finish()

    assert np.all(run.status("train") == 0)
    assert np.all(np.abs(run.gap("train")) <= 5e-3 * np.abs(np.diff(run.loss("train"))))


@pytest.mark.parametrize("batch_size", [None, 33])
def test_a_loss_that_layers_add_may_be_the_only_one(blobs, batch_size):
    """Compiled without a loss, `add_loss` is what `evaluate` says, and its books close."""
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4), Squared()])
    model.compile(optimizer=keras.optimizers.SGD(0.01))
    with pytest.raises(LossError, match="regularizers=True"):
        lca_keras.track(model, (blobs[0],))

    losses = [model.evaluate(blobs[0], batch_size=101, verbose=0)]
    tracker = lca_keras.track(model, (blobs[0],), regularizers=True, batch_size=batch_size)
    for _ in range(3):
        model.train_on_batch(blobs[0])
        tracker.step()
        losses.append(model.evaluate(blobs[0], batch_size=101, verbose=0))
    run = tracker.finish()
    np.testing.assert_allclose(run.loss("train"), losses, rtol=1e-6)
    assert np.all(run.status("train") == 0)


class Squared(layers.Layer):
    """Adds the mean square of what goes through it to the loss."""

    def call(self, inputs):
        """Add it."""
        self.add_loss(keras.ops.mean(inputs**2))
        return inputs


def test_several_outputs_and_their_weights_go_through_keras(blobs):
    """A model of two outputs with loss weights has the loss that Keras compiled."""
    x, y = blobs
    inputs = keras.Input((12,))
    hidden = layers.Dense(5, activation="tanh")(inputs)
    outputs = {"kind": layers.Dense(4)(hidden), "size": layers.Dense(1)(hidden)}
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer="sgd",
        loss={
            "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "size": "mse",
        },
        loss_weights={"kind": 0.7, "size": 3.0},
    )
    targets = {"kind": y, "size": x[:, :1] ** 2}
    tracker = lca_keras.track(model, (x, targets), batch_size=40)
    model.train_on_batch(x, targets)
    tracker.step()
    run = tracker.finish()
    whole = model.evaluate(x, targets, batch_size=101, verbose=0, return_dict=True)["loss"]

    assert run.loss("train")[-1] == pytest.approx(whole, rel=1e-6)
    assert run.status("train")[0] == 0


def test_looking_does_not_move_the_metrics(blobs):
    """The running means that Keras shows at the end of an epoch are left alone."""
    x, y = blobs
    inputs = keras.Input((12,))
    model = keras.Model(inputs, [layers.Dense(4)(inputs), layers.Dense(1)(inputs)])
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="sgd", loss=[entropy, "mse"])
    data = (x, [y, x[:, :1]])
    model.fit(*data, verbose=0)
    held = [float(metric.result()) for metric in model.metrics[:3]]
    tracker = lca_keras.track(model, data)
    model.layers[1].kernel.assign(model.layers[1].kernel * 0.5)
    tracker.step()

    assert [float(metric.result()) for metric in model.metrics[:3]] == held


@pytest.mark.parametrize("scalar", [False, True])
def test_an_explicit_loss_serves_models_that_compile_none(plain, blobs, scalar):
    """A Keras loss, or a function that returns losses or their mean, with its weights."""
    x, y = blobs
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def function(targets, outputs):
        losses = keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)
        return keras.ops.mean(losses) if scalar else losses

    whole = plain.evaluate(x, y, batch_size=101, verbose=0)
    bare = keras.Sequential([keras.Input((12,)), *plain.layers])

    assert measured(bare, blobs, loss=entropy, batch_size=30) == pytest.approx(whole, rel=1e-6)
    assert measured(bare, blobs, loss=function, batch_size=30) == pytest.approx(whole, rel=1e-6)
    with pytest.raises(LossError, match="no compiled loss"):
        lca_keras.track(bare, blobs)


def test_loss_scaling_is_not_measured(plain, blobs):
    """A LossScaleOptimizer scales the gradient that it applies, not the loss that is measured."""
    x, y = blobs
    whole = plain.evaluate(x, y, batch_size=101, verbose=0)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    plain.compile(optimizer=scaled, loss=plain.loss)

    assert measured(plain, blobs) == pytest.approx(whole, rel=1e-6)


def test_losses_that_depend_on_the_cuts_are_refused(plain, blobs):
    """Sums by their reduction, others because parts do not add up to the whole."""
    _x, _y = blobs
    summing = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    plain.compile(loss=summing)
    with pytest.raises(LossError, match="reduction='sum'"):
        lca_keras.track(plain, blobs)

    def largest(targets, outputs):
        return keras.ops.max(outputs)

    plain.compile(loss=largest)
    with pytest.raises(LossError, match="batch_size=101"):
        lca_keras.track(plain, blobs, batch_size=20)
    assert np.isfinite(measured(plain, blobs, batch_size=101))


@pytest.mark.parametrize("ordered", [False, True])
def test_hidden_weights_are_seen_at_a_head_of_zeros(plain, blobs, ordered):
    """Where all losses are equal, or the data are sorted, a weighted mean cannot hide."""
    x, y = blobs
    if ordered:
        x, y = x[np.argsort(y)], np.sort(y)
    plain.layers[-1].kernel.assign(np.zeros((8, 4), "float32"))
    plain.layers[-1].bias.assign(np.zeros(4, "float32"))

    def loss(targets, outputs):
        each = keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)
        weights = keras.ops.cast(keras.ops.reshape(targets, (-1,)), "float32") ** 2 + 1.0
        return keras.ops.sum(each * weights) / keras.ops.sum(weights)

    with pytest.raises(LossError, match="not the mean"):
        lca_keras.track(plain, (x, y), loss=loss, batch_size=40)


@pytest.mark.parametrize("padded", [0, 1])
def test_a_mean_over_what_is_not_padding_is_refused_wherever_padding_is(padded):
    """Of batches of several lengths any may be the one that is filled up."""
    rng, batches = np.random.default_rng(0), []
    for i, length in enumerate((3, 4)):
        mask = np.ones((8, length), "float32")
        mask[4:, 1:] = i != padded
        x = rng.standard_normal((8, length, 5)).astype("float32")
        batches.append((x, rng.standard_normal((8, length, 2)).astype("float32"), mask))
    model = keras.Sequential([keras.Input((None, 5)), layers.Dense(2)])
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    with pytest.raises(LossError, match="not the mean"):
        lca_keras.track(model, batches, loss=loss, batch_size=4)


def test_a_rare_form_of_batches_is_looked_at_with_an_example_at_least():
    """Of many batches of one length and a single one of another, both are tried."""
    rng = np.random.default_rng(0)

    def batch(length):
        return rng.standard_normal((8, length, 5)), rng.standard_normal((8, length, 2))

    batches = [*(batch(3) for _ in range(71)), batch(4)]
    model = keras.Sequential([keras.Input((None, 5)), layers.Dense(2)])
    where = source(batches)
    assert [one.examples > 0 for one in where.spreads(20)] == [True, True]
    assert np.isfinite(measured(model, batches, loss="mse", batch_size=8))


def test_another_compiled_loss_is_refused(plain, blobs):
    """A run measures one loss; compiling the same again, for another optimizer, is no other."""
    lca = lca_keras.LossChangeAllocation(data=blobs)
    plain.fit(*blobs, batch_size=101, verbose=0, callbacks=[lca])
    same = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(optimizer="sgd", loss=same)
    plain.fit(*blobs, batch_size=101, verbose=0, callbacks=[lca])
    assert lca.run.steps == 2

    other = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    plain.compile(optimizer="sgd", loss=other)
    with pytest.raises(LossError, match="compiled with another loss"):
        plain.fit(*blobs, batch_size=101, verbose=0, callbacks=[lca])


class Scaled(keras.losses.Loss):
    """A user's loss, with arguments of its own and neither a name nor a config."""

    def __init__(self, factor):
        super().__init__()
        self.factor, self.calls = np.array([factor]), 0

    def call(self, y_true, y_pred):
        """Return losses, and count the calls."""
        self.calls += 1
        each = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return float(self.factor[0]) * each


def test_losses_of_ones_own_are_told_apart_by_their_arguments(plain, blobs):
    """Another factor is another loss; the same one, called meanwhile, is not."""
    first = Scaled(1.0)
    plain.compile(optimizer="sgd", loss=first)
    lca = lca_keras.LossChangeAllocation(data=blobs)
    plain.fit(*blobs, batch_size=101, verbose=0, callbacks=[lca])
    assert first.calls > 0
    plain.compile(optimizer="sgd", loss=first)
    plain.fit(*blobs, batch_size=101, verbose=0, callbacks=[lca])
    assert lca.run.steps == 2
    plain.compile(optimizer="sgd", loss=Scaled(10.0))
    with pytest.raises(LossError, match="compiled with another loss"):
        plain.fit(*blobs, batch_size=101, verbose=0, callbacks=[lca])


@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_changed_is_measured_where_it_is_compiled_again(blobs, streamed):
    """Training uses it from then on, and so do the looks; the jump is in the gap of that step."""
    stretch = layers.Rescaling(1.0)
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4), stretch])
    loss = Scaled(1.0)
    model.compile(optimizer="sgd", loss=loss)
    data = [tuple(one[:60] for one in blobs), tuple(one[60:] for one in blobs)]
    tracker = lca_keras.track(model, data if streamed else blobs)
    for change in (lambda: setattr(stretch, "scale", 3.0), lambda: setattr(loss, "factor", [2.0])):
        change()
        model.compile(optimizer="sgd", loss=loss)
        model.train_on_batch(*blobs)
        tracker.step()
        expected = model.evaluate(*blobs, batch_size=101, verbose=0)
        assert tracker.last()["loss"] == pytest.approx(expected, rel=1e-5)
        assert abs(tracker.last()["gap"]) > 0.1


def test_a_loss_without_a_mean_is_refused_where_it_is_compiled(plain, blobs):
    """Keras makes no number of it; passed as loss=, its mean is taken."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    expected = plain.evaluate(*blobs, batch_size=101, verbose=0)
    plain.compile(optimizer="sgd", loss=loss)
    with pytest.raises(LossError, match=r"reduction='none'.*pass the same loss as loss="):
        lca_keras.track(plain, blobs)
    assert measured(plain, blobs, loss=loss) == pytest.approx(expected, rel=1e-6)


def test_a_loss_that_is_called_in_a_way_of_its_own_is_refused_where_it_is_passed(plain, blobs):
    """Its `__call__` cannot be asked for single examples; compiled, it is Keras' to call."""

    class Own(keras.losses.Loss):
        def __call__(self, y_true, y_pred, sample_weight=None):
            return keras.ops.mean(keras.ops.square(y_pred))

    with pytest.raises(LossError, match=r"Own overrides __call__.*call\(y_true, y_pred\)"):
        lca_keras.track(plain, blobs, loss=Own())
    plain.compile(optimizer="sgd", loss=Own())
    assert np.isfinite(measured(plain, blobs))


def test_a_loss_of_ones_own_without_a_name_may_be_made_anew(plain, blobs):
    """Keras numbers names that it makes up: they tell nothing."""

    class Plain(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    lca = lca_keras.LossChangeAllocation(data=blobs)
    for steps in (1, 2):
        plain.compile(optimizer="sgd", loss=Plain())
        plain.fit(*blobs, batch_size=101, verbose=0, callbacks=[lca])
        assert lca.run.steps == steps


@pytest.mark.parametrize("name", ["mse", "function"])
def test_an_explicit_loss_is_the_compiled_one(blobs, name):
    """Targets (n,) and outputs (n, 1) are matched as `compile` matches them."""
    x, _y = blobs
    loss = "mse" if name == "mse" else lambda y, out: (y - out) ** 2
    model = keras.Sequential([keras.Input((12,)), layers.Dense(1)])
    model.compile(loss=loss)
    y = x[:, 0]
    outputs = keras.ops.convert_to_numpy(model(x))[:, 0].astype("f8")

    expected = ((outputs - y) ** 2).mean()
    assert measured(model, (x, y), loss=loss, batch_size=40) == pytest.approx(expected, rel=1e-5)
    assert measured(model, (x, y), batch_size=40) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(LossError, match="name of one"):
        lca_keras.track(model, (x, y), loss="no such loss")


@pytest.mark.parametrize("form", ["list", "inputs alone"])
def test_missing_targets_are_named(plain, blobs, form):
    """A list of two arrays is two batches of inputs; the error says what to pass."""
    x, y = blobs
    with pytest.raises(DataError, match="tuple"):
        lca_keras.track(plain, [x, y] if form == "list" else (x,))


def crossed(targets, outputs):
    """Return a loss for every place of a sequence."""
    return keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)


MASKED = {
    "function": crossed,
    "mean": lambda targets, outputs: keras.ops.mean(crossed(targets, outputs)),
    "ignoring function": lambda targets, outputs: keras.losses.sparse_categorical_crossentropy(
        targets, outputs, from_logits=True, ignore_class=2
    ),
    "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "ignoring loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2),
    "by weight": keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    ),
}


def masked():
    """Yield every case with weights and places or without; one of four at once, the rest slow."""
    for i, case in enumerate(MASKED):
        for places, weights in itertools.product([False, True], repeat=2):
            marks = [] if 2 * places + weights == i % 4 else [pytest.mark.slow]
            yield pytest.param(case, places, weights, marks=marks)


@pytest.mark.parametrize(("case", "places", "weights"), list(masked()))
def test_masked_places_count_as_in_keras(case, places, weights):
    """An explicit loss over sequences of any length divides by what `evaluate` divides by."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 7, (40, 6)) * (np.arange(6) < rng.integers(2, 7, (40, 1)))
    y = rng.integers(3, size=(40, 6) if places else 40)
    data = (x, y, rng.random(y.shape).astype("float32")) if weights else (x, y)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(7, 5, mask_zero=True),
            layers.SimpleRNN(4, return_sequences=places),
            layers.Dense(3),
        ]
    )
    for weight in model.trainable_variables:
        weight.assign(rng.standard_normal(weight.shape))
    model.compile(loss=MASKED[case])
    more = {"sample_weight": data[2]} if weights else {}
    truth = model.evaluate(x, y, batch_size=40, verbose=0, **more)

    for loss in (MASKED[case], None):
        tracker = lca_keras.track(model, data, loss=loss)
        tracker.step()
        # Again where nothing moved: a look leaves the weights as they are.
        assert tracker.finish().loss("train") == pytest.approx([truth, truth], rel=1e-5)


def test_a_mean_over_masked_places_is_not_cut():
    """Chunks of sequences differ in how many places count; the error says what to do."""
    x = np.array([[1, 0, 0]] * 20 + [[1, 2, 3]] * 20)
    embedding = layers.Embedding(4, 3, mask_zero=True)
    model = keras.Sequential([keras.Input((3,), dtype="int32"), embedding])
    with pytest.raises(LossError, match=r"masks.*batch_size=40"):
        lca_keras.track(model, (x, x % 3), loss=crossed, batch_size=20)
    assert np.isfinite(measured(model, (x, x % 3), loss=crossed))


@pytest.mark.parametrize("settings", [{}, {"batch_size": 10}, {"mode": "batch-stats"}])
@pytest.mark.parametrize(
    ("features", "loss", "said"),
    [
        (11, None, "expected axis -1 of input shape to have value 12"),
        (12, lambda model, batch: model(batch), "not callable"),
    ],
)
def test_failing_losses_say_what_was_passed(blobs, features, loss, said, settings):
    """The error names the measure, shapes and types, and keeps what Keras or Python said."""
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = {"mine": (blobs[0][:, :features], blobs[1])}
    with pytest.raises(LossError, match=r"'mine' cannot be evaluated as loss\(y, model") as found:
        lca_keras.track(model, data, loss=loss, **settings)

    assert said in str(found.value)
    assert f"x = float32 (32, {features}), y = int" in str(found.value)
    assert found.value.__cause__ is not None


@pytest.mark.parametrize(
    "loss", ["mse", keras.losses.MeanSquaredError(), None], ids=["name", "loss", "compiled"]
)
@pytest.mark.parametrize("batch_size", [7, None])
def test_weights_with_a_last_axis_of_one_are_one_an_example(loss, batch_size):
    """They are multiplied with the losses one by one, as in Keras, not each with each."""
    rng = np.random.default_rng(0)
    x, y, weight = rng.random((20, 3), "float32"), rng.random((20, 1), "float32"), rng.random(20)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    data = (x, y, weight.astype("float32")[:, None])
    tracker = lca_keras.track(model, data, loss=loss, batch_size=batch_size)
    outputs = keras.ops.convert_to_numpy(model(x))
    expected = (weight * (outputs - y)[:, 0] ** 2).mean()
    assert tracker.last()["loss"] == pytest.approx(expected, rel=1e-6)
