"""A process for every measurement: frameworks in one process disturb each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "JAX_PLATFORMS": "cpu"}
SETTINGS_OF_OTHER_TESTS = ("XLA_FLAGS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Some tests ask for little optimization and few threads, and processes inherit it."""


def found_by(module: str, **case: Any) -> dict[str, Any]:
    """Return what `python -m benchmarks.MODULE CASE` prints.

    Args:
        module: of this folder.
        case: what to measure.
    """
    env = {k: v for k, v in os.environ.items() if k not in SETTINGS_OF_OTHER_TESTS} | QUIET
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", json.dumps(case)],
        env=env,
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
