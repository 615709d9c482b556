"""The adapters that are shipped keep every promise, without a skip."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
"""Small arrays gain nothing from a second thread, and lose where two processes share cores; what
JAX has compiled once is kept."""

BACKENDS = [
    ("numpy", {}),
    pytest.param("torch", {}, marks=pytest.mark.slow),
    pytest.param("jax", {}, marks=pytest.mark.slow),
    pytest.param("keras", {"KERAS_BACKEND": "tensorflow"}, marks=pytest.mark.slow),
    pytest.param("keras", {"KERAS_BACKEND": "torch"}, marks=pytest.mark.slow),
    pytest.param("keras", {"KERAS_BACKEND": "jax"}, marks=pytest.mark.slow),
]


def conformance(names, out, variables=(), *options):
    """Run the command in a process of its own; return its exit code, report and output."""
    programs = {"JAX_COMPILATION_CACHE_DIR": str(out.parent.with_name("programs"))}
    done = subprocess.run(
        [sys.executable, "-m", "lca_conformance", *names, "--json", str(out), *options],
        env={**os.environ, **QUIET, **programs, **dict(variables)},
        cwd=out.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(out.read_text())["adapters"], done.stdout + done.stderr


@pytest.mark.parametrize(("name", "variables"), BACKENDS, ids=str)
def test_every_promise_is_kept(tmp_path, name, variables):
    """All tests of all suites pass; none is skipped or expected to fail; nothing warns."""
    code, found, output = conformance([name], tmp_path / "found.json", variables, "-W", "error")

    assert code == 0, output
    for suite, outcome in found[name].items():
        assert outcome["passed"], suite
        assert outcome["failed"] == outcome["skipped"] == outcome["xfailed"] == []
    assert len(found[name]) == 14


@pytest.mark.slow
def test_the_three_frameworks_agree_pairwise(tmp_path):
    """FC, LeNet and ResNet mean the same to every two of PyTorch, Keras and JAX."""
    code, found, output = conformance(
        ["torch", "keras", "jax"], tmp_path / "found.json", {}, "-k", "Agreement"
    )

    assert code == 0, output
    # Of 8 comparisons each: with the reference, and with each of the two others.
    assert {name: one["Agreement"]["passed"] for name, one in found.items()} == {
        "torch": 24,
        "keras": 24,
        "jax": 24,
    }
