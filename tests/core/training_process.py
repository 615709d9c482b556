"""A training process that can be killed at any moment: `training_process.py FOLDER STEPS PAUSE`.

It tracks a perceptron on blobs into FOLDER/run.zarr, saves its model to FOLDER/model.npz after
every checkpoint, goes on from there when started again, and prints what is safe.
"""

import sys
import time
from pathlib import Path

import numpy as np

from lca_core import Adaptive
from lca_core.reference import Perceptron, track

CHUNK, SAVE_EVERY = 4, 6


def say(word, step):
    """Print at once."""
    sys.stdout.write(f"{word} {step}\n")
    sys.stdout.flush()


def problem():
    """Return the blobs and the network."""
    rng = np.random.default_rng(11)
    labels = rng.integers(3, size=60)
    inputs = rng.standard_normal((3, 4))[labels] + 0.5 * rng.standard_normal((60, 4))
    return Perceptron(inputs, labels, (4, 8, 3))


def save(model, step, params):
    """Replace the model file in one rename."""
    with model.with_suffix(".partial").open("wb") as file:
        np.savez(file, step=step, **params)
    model.with_suffix(".partial").replace(model)


def train(folder, steps, pause):
    """Train to the end, from wherever the last process came to."""
    network, model = problem(), folder / "model.npz"
    step, params = 0, network.initial(0)
    if model.exists():
        with np.load(model) as saved:
            step, params = int(saved["step"]), {name: saved[name] for name in params}
    integrator = Adaptive(1e-3, 1e-8, audit=5)
    options = {"path": folder / "run.zarr", "resume": True, "chunk": CHUNK}
    with track(
        {"train": network}, params, network.layout, integrator=integrator, **options
    ) as tracker:
        if not model.exists():
            tracker.checkpoint()
            save(model, step, params)
        say("resumed", step)
        while step < steps:
            gradient = network(params, {}).gradient
            params = {name: leaf - 0.3 * gradient[name] for name, leaf in params.items()}
            step += 1
            tracker.step(params)
            if step % CHUNK == 0:
                # The newest chunk may still be being written; the one before is safe.
                say("chunk", step - CHUNK)
            if step % SAVE_EVERY == 0:
                tracker.checkpoint()
                say("chunk", step)
                save(model, step, params)
            time.sleep(pause)
    say("done", step)


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
