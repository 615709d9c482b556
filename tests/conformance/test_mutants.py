"""The suite fails every adapter that is wrong, and names the promise that it breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import BROKEN, MUTANTS

HERE = Path(__file__).parent
TRAINED = [name for name, suite in BROKEN.items() if suite == "Training"]
LOOKING = [name for name in MUTANTS if name not in TRAINED]


def conformance(names, out, *options):
    """Run the suite on mutants; return what it writes."""
    adapters = [f"mutants:{name.upper()}" for name in names]
    command = [sys.executable, "-m", "lca_conformance", *adapters, "--json", str(out), *options]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=HERE, env=one_thread, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return json.loads(out.read_text())["adapters"], done.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the suite says about all mutants."""
    out = tmp_path_factory.mktemp("conformance")
    looking, _ = conformance(LOOKING, out / "a.json", "-k", "not Agreement and not Training")
    trained, _ = conformance(TRAINED, out / "b.json", "-k", "Training")
    return looking | trained


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_found_and_its_promise_named(found, name):
    """The suite of the promise that a mutant breaks has a failing test, with a sentence."""
    failed = found[f"mutants:{name.upper()}"][BROKEN[name]]["failed"]

    assert failed
    assert all(one["promise"].endswith(".") for one in failed)


def test_there_are_enough_mutants():
    """At least 15 ways of being wrong."""
    assert len(MUTANTS) >= 15
