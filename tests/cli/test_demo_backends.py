"""The demonstration means the same on every framework."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lca_core

ROW = re.compile(r"^(fc\d|total) .*")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")


def table(backend, out):
    """Run the command in a process of its own; return its table: row -> numbers."""
    lca = Path(sys.executable).with_name("lca")
    command = [lca, "demo", "--backend", backend, "--out", out]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [row for row in map(ROW.match, done.stdout.splitlines()) if row]
    return {
        row[1]: [float(n.replace(",", "")) for n in NUMBER.findall(row[0].removeprefix(row[1]))]
        for row in rows
    }


def errors(out):
    """Return the ± of every layer, which the table prints two digits of."""
    return lca_core.load(out / "run.zarr").error("train").values


@pytest.mark.slow
def test_the_frameworks_print_one_table(tmp_path):
    """`lca demo` on PyTorch, Keras and JAX: every number the same to three significant digits.

    But the ±, which are made of gaps: rounding of the losses moves them. Those of layers are the
    same to two hundredths, which can turn the second of their two printed digits; that of
    the total is the sum of all gaps.
    """
    torch, keras, jax = (
        table(backend, str(tmp_path / backend)) for backend in ("torch", "keras", "jax")
    )

    assert list(torch) == ["fc1", "fc2", "fc3", "total"]
    assert {len(numbers) for numbers in torch.values()} == {6}
    assert list(torch) == list(keras) == list(jax)
    rounding, fell = 8 * np.finfo(np.float32).eps, abs(torch["total"][1])
    for one in (torch, keras, jax):
        assert one["total"].pop() <= 1e-4 * fell + 450 * rounding
    error = {backend: errors(tmp_path / backend) for backend in ("torch", "keras", "jax")}
    np.testing.assert_allclose(error["keras"], error["torch"], rtol=2e-2)
    np.testing.assert_allclose(error["jax"], error["torch"], rtol=2e-2)
    for one in (torch, keras, jax):
        for layer in ("fc1", "fc2", "fc3"):
            one[layer].pop()
    for row, numbers in torch.items():
        np.testing.assert_allclose(keras[row], numbers, rtol=1e-3, err_msg=f"keras {row}")
        np.testing.assert_allclose(jax[row], numbers, rtol=1e-3, err_msg=f"jax {row}")
