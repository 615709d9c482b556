"""`python -m lca_conformance`: names, known failures, the matrix, suites in one's own tests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(*arguments):
    """Run the command where the mutants are; return the finished process."""
    command = [sys.executable, "-m", "lca_conformance", *map(str, arguments)]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)


def test_the_matrix_has_a_line_a_promise_and_a_column_an_adapter(tmp_path):
    """What is kept has a tick and a number, what is broken a cross; the sentence is below."""
    done = run("numpy", "mutants:SUMS_IN_FLOAT32", "-k", "Arrays or Snapshots")
    lines = done.stdout.splitlines()
    (arrays,) = (line for line in lines if line.startswith("Arrays come and go"))
    (snapshots,) = (line for line in lines if line.startswith("A snapshot is owned"))

    assert done.returncode == 1
    kept, of = re.search(r"✓ (\d+) +✗ \d+/(\d+)$", arrays).groups()
    assert kept == of
    assert snapshots.count("✓ 4") == 2
    assert "Ten thousand float32 numbers" in done.stdout


@pytest.mark.slow
def test_known_failures_are_expected_strictly(tmp_path):
    """A listed test must fail: then the run passes; if it passes, or is not there, it fails."""
    listed = tmp_path / "known.txt"
    mutant = ("mutants:BOOLEANS_NOT_COUNTED", "-k", "Arrays", "--xfails", listed)
    listed.write_text("# counts are on the list\nArrays::test_sums_of_booleans_count\n")
    right = run(*mutant)
    listed.write_text("Arrays::test_sums_of_booleans_count\nArrays::test_joined\n")
    passes = run(*mutant)
    listed.write_text("Arrays::test_of_nothing\n")
    absent = run(*mutant)

    assert right.returncode == 0, right.stdout
    assert "Known:" in right.stdout
    assert passes.returncode == 1
    assert absent.returncode != 0
    assert "test_of_nothing" in absent.stdout + absent.stderr


def test_the_report_for_programs_says_the_same(tmp_path):
    """`--json` has counts and failures with their sentences, by adapter and suite."""
    out = tmp_path / "out.json"
    run("numpy", "mutants:PROMOTION_TO_FLOAT64", "-k", "Arrays", "--json", out)
    adapters = json.loads(out.read_text())["adapters"]
    found = adapters["mutants:PROMOTION_TO_FLOAT64"]["Arrays"]

    assert found["passed"] + len(found["failed"]) == adapters["numpy"]["Arrays"]["passed"]
    assert found["failed"][0]["promise"].startswith("`from_numpy` of a float64 array")


@pytest.mark.parametrize(
    ("name", "said"),
    [("mxnet", "installed are"), ("nowhere:ADAPTER", "no adapter"), ("mutants:NONE", "no adapter")],
)
def test_a_name_that_is_not_there_is_one_line(name, said):
    """Unknown adapters end in a sentence, not in a traceback."""
    done = run(name)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["nowhere/out.json", "."])
def test_a_report_that_cannot_be_written_is_said_first(place, tmp_path):
    """Where `--json` cannot be written, one line says so before a test is run."""
    done = run("numpy", "-k", "Arrays", "--json", tmp_path / place)

    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_suites_can_be_derived(tmp_path):
    """A class with a `subject` is a test class of one's own; one without says what is missing."""
    test = tmp_path / "test_mine.py"
    test.write_text(
        "from lca_conformance import Arrays, Snapshots\n"
        "from lca_core.adapters import find_adapter\n"
        "class TestArrays(Arrays):\n"
        "    subject = find_adapter('numpy')\n"
        "class TestSnapshots(Snapshots):\n"
        "    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20
    assert "Set `subject` of TestSnapshots" in done.stdout
