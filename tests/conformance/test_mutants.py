"""The suite fails every adapter that is wrong, and names the promise that it breaks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import BROKEN, MUTANTS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mutants")]  # all meet the suite at once

HERE = Path(__file__).parent
OWN = " or ".join(f"({name.upper()} and {suite})" for name, suite in BROKEN.items())
"""Every mutant meets the suite of the promise that it breaks: all of them take many minutes."""


@pytest.fixture(scope="session")
def found(tmp_path_factory):
    """What the suite says about all mutants."""
    out = tmp_path_factory.mktemp("conformance") / "found.json"
    adapters = [f"mutants:{name.upper()}" for name in MUTANTS]
    done = subprocess.run(
        [sys.executable, "-m", "lca_conformance", *adapters, "--json", str(out), "-k", OWN],
        cwd=HERE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return json.loads(out.read_text())["adapters"]


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_found_and_its_promise_named(found, name):
    """The suite of the promise that a mutant breaks has a failing test, with a sentence."""
    failed = found[f"mutants:{name.upper()}"][BROKEN[name]]["failed"]

    assert failed
    assert all(one["promise"].endswith(".") for one in failed)


def test_there_are_as_many_mutants_as_the_readme_says():
    """The README counts them."""
    (said,) = re.findall(r"(\d+) mutants", (HERE.parents[1] / "README.md").read_text())

    assert len(MUTANTS) == int(said)
