"""A plan in a Keras loop."""

import keras
import numpy as np

import lca_keras

X = np.random.default_rng(0).standard_normal((200, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


def trained(*, plans):
    """Return the run of three steps with dropout, the weights, and the plan."""
    keras.utils.set_random_seed(0)
    layers = keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)
    model, plan = keras.Sequential([*layers]), None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss=loss)
    with lca_keras.track(model, (X, Y)) as tracker:
        for t in range(3):
            model.train_on_batch(X[:50], Y[:50])
            tracker.step()
            if plans and t == 1:
                plan = tracker.plan(training_seconds=0.001)
    return tracker.run, model.get_weights(), plan


def test_training_and_record_are_bit_for_bit_the_same():
    """A plan amid the steps measures all examples and a probe, and changes nothing."""
    run, weights, plan = trained(plans=True)
    other, others, _ = trained(plans=False)
    assert {"all", "probe"} <= {row.kind for row in plan.rows}
    for one, same in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, same)
    for name, rows in other.rows.items():
        np.testing.assert_array_equal(run.rows[name], rows, err_msg=name)
