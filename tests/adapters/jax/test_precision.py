"""Float64 books whatever the user's types and settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core import Partition, Status
from lca_jax.leaves import find_leaves
from lca_jax.oracle import machine_epsilon

HERE = Path(__file__).parent


def process(name: str, **environment: str) -> str:
    """Run a script of this folder in a process of its own, and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / name)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("x64", [False, True])
def test_the_loss_is_traced_under_the_users_setting(x64):
    """`jnp.zeros(3)` inside the loss function has the type that it has in training."""
    kinds = set()

    def loss_fn(params, x):
        zeros = jnp.zeros(3)
        kinds.add(zeros.dtype)
        return params["w"] * x + zeros.sum()

    with jax.enable_x64(x64):
        params = {"w": jnp.ones(())}
        tracker = lca_jax.track(loss_fn, params, np.ones(5))
        tracker.step({"w": jnp.full((), 2.0)})
        run = tracker.finish()

    assert kinds == {jnp.dtype("float64" if x64 else "float32")}
    assert run.layout.leaves[0].dtype == ("float64" if x64 else "float32")
    assert run.config["eps"]["train"] == (2.0**-52 if x64 else 2.0**-23)
    assert run.loss("train").tolist() == [1.0, 2.0]


def test_float64_training_is_followed_in_float64():
    """With x64 on, a process of its own agrees with the numpy reference to 1e-12."""
    assert process("x64_process.py", JAX_ENABLE_X64="1").strip() == "agrees"


def test_losses_are_summed_in_float64():
    """Ten million small losses on top of large ones come out as their exact mean."""
    x = np.full(2**20, 1e-4, np.float32)
    x[0] = 2.0**20
    tracker = lca_jax.track(lambda p, x: p["w"] * x, {"w": jnp.ones(())}, x)
    run = tracker.finish()

    assert run.loss("train")[0] == pytest.approx(x.astype(np.float64).mean(), rel=1e-9)


def test_bfloat16_leaves_keep_float32_displacements(blobs):
    """bfloat16 parameters are followed in float32; the loss function gets their own type."""
    kinds = set()

    def loss_fn(params, batch):
        kinds.add(params["w"].dtype)
        return (batch[0] @ params["w"].astype(jnp.float32) - batch[1]) ** 2

    params = {"w": jnp.full(12, 0.3, jnp.bfloat16)}
    tracker = lca_jax.track(loss_fn, params, blobs)
    for value in (0.31, 0.33, 0.25):
        tracker.step({"w": jnp.full(12, value, jnp.bfloat16)})
    run = tracker.finish()

    assert kinds == {jnp.dtype(jnp.bfloat16)}
    assert run.layout.leaves[0].dtype == "bfloat16"
    assert tracker._state.snapshot.params["w"].dtype == jnp.float32
    assert run.config["eps"]["train"] == 2.0**-7
    assert run.total("train")["w"].dtype == np.float64
    # On the straight line between the ends, the loss is a parabola: the trapezoid rule is exact
    # but for the rounding of the gradient to bfloat16.
    change = run.loss("train")[-1] - run.loss("train")[0]
    assert run.allocation("train").values.sum() == pytest.approx(change, rel=0.02)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("size", [1e-2, 1.0, 2.0])
def test_half_precision_gradients_neither_vanish_nor_overflow(kind, scalar, size):
    """Of 70,001 examples in one chunk, the gradient in half precision is that in float64."""
    rng = np.random.default_rng(2)
    x = (size * rng.standard_normal((70_001, 3))).astype(kind)
    w = np.array([1.0, 2.0, 3.0]) * size

    def loss_fn(params, x):
        losses = ((x * params["w"]).sum(1) - jnp.asarray(size, kind)) ** 2
        return losses.mean() if scalar else losses

    params = {"w": jnp.asarray(w, kind)}
    found = lca_jax.track(loss_fn, params, x, batch_size=70_001)._state.evaluations["train"]
    wide = x.astype(np.float64)
    error = wide @ w.astype(kind).astype("f8") - size

    assert float(found.loss) == pytest.approx((error**2).mean(), rel=0.02)
    expected = 2.0 * (error[:, None] * wide).mean(0)
    np.testing.assert_allclose(found.gradient["w"], expected, rtol=0.05, atol=0.02 * size**3)


def test_a_half_precision_mean_is_one():
    """Rounding to bfloat16 is not taken for a loss that depends on the cuts."""
    x = np.random.default_rng(0).standard_normal((257, 5)).astype(jnp.bfloat16)
    params = {"w": jnp.full(5, 0.3, jnp.bfloat16)}
    tracker = lca_jax.track(lambda p, x: ((x @ p["w"] - 1) ** 2).mean(), params, x, batch_size=257)
    expected = ((x.astype("f8") @ np.full(5, 0.3, jnp.bfloat16).astype("f8") - 1) ** 2).mean()

    assert tracker.finish().loss("train")[0] == pytest.approx(expected, rel=2.0**-8)


def computing_in(kind, *, scalar=False):
    """Return the loss of a network that computes in a half type, not in that of its leaves."""

    def loss_fn(params, batch):
        hidden = jnp.tanh(batch[0].astype(kind) @ params["w"].astype(kind))
        logits = (hidden @ params["v"].astype(kind)).astype(jnp.float32)
        losses = jax.nn.logsumexp(logits, -1) - logits[jnp.arange(len(logits)), batch[1]]
        return losses.mean() if scalar else losses

    return loss_fn


@pytest.mark.parametrize(
    ("kind", "eps"),
    [("bfloat16", 2.0**-7), pytest.param("float16", 2.0**-10, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("form", ["losses", "mean", "jitted", "partition"])
def test_a_loss_that_computes_in_half_precision_closes_its_books(blobs, followed, kind, eps, form):
    """Float32 leaves notwithstanding, what rounding does to the loss is in its noise floor."""
    rng = np.random.default_rng(3)
    params = {
        name: jnp.asarray(0.3 * rng.standard_normal(shape), jnp.float32)
        for name, shape in {"w": (12, 16), "v": (16, 4)}.items()
    }
    loss_fn = computing_in(kind, scalar=form == "mean")
    descent, iterates = jax.grad(lambda p: loss_fn(p, blobs).mean()), [params]
    for _ in range(8):
        step = descent(iterates[-1])
        iterates.append(jax.tree.map(lambda leaf, g: leaf - 1e-3 * g, iterates[-1], step))
    data = Partition(blobs, by=blobs[1] % 2) if form == "partition" else blobs
    run = followed(jax.jit(loss_fn) if form == "jitted" else loss_fn, iterates, data)

    assert set(run.config["eps"].values()) == {eps}
    assert (run.status("train") == Status.OK).all()
    assert (np.abs(run.gap("train")) <= run.rows["noise"][:, 0]).all()


@pytest.mark.parametrize("jitted", [False, True])
def test_data_that_are_kept_in_half_precision_coarsen_nothing(jitted):
    """They are what they are, and the loss computes with them in float32."""
    x = np.random.default_rng(0).standard_normal((50, 2, 3)).astype(jnp.bfloat16)

    def loss_fn(params, x):
        return (x.reshape(-1, 6).astype(jnp.float32) @ params["w"] - 1.0) ** 2

    tracker = lca_jax.track(jax.jit(loss_fn) if jitted else loss_fn, {"w": jnp.ones(6)}, x)

    assert tracker.finish().config["eps"]["train"] == 2.0**-23


def test_epsilon_knows_how_matrices_are_multiplied():
    """Accelerators multiply float32 matrices in less than float32, unless they are told not to."""
    single = find_leaves({"w": np.ones(2, np.float32)})

    assert machine_epsilon(single, "cpu") == 2.0**-23
    assert machine_epsilon(single, "gpu") == 2.0**-10
    assert machine_epsilon(single, "tpu") == 2.0**-7
    with jax.default_matmul_precision("highest"):
        assert machine_epsilon(single, "gpu") == 2.0**-23
    with jax.default_matmul_precision("tensorfloat32"):
        assert machine_epsilon(single, "cpu") == 2.0**-10


@pytest.mark.slow
def test_sharded_parameters_and_data():
    """On four devices, sharded or replicated, in a mesh or without, the books are those of one."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    assert process("sharded_process.py", XLA_FLAGS=flags).strip() == "agrees"
