"""The same tests on every backend of Keras, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent
# Keras hands its variables to numpy in a way that numpy 2 calls old, in get_weights() and fit.
KERAS_TO_NUMPY = "ignore:__array__ implementation:DeprecationWarning"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_all_tests_hold_on(backend):
    """KERAS_BACKEND is read once a process."""
    if backend == keras.backend.backend():
        pytest.skip("this process's own")
    command = [sys.executable, "-m", "pytest", str(HERE), "-q", "-m", "not slow"]
    command += ["-W", KERAS_TO_NUMPY]
    found = subprocess.run(
        command,
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-4000:]
