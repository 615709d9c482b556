"""The experiment that the guide shows is one."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from lca_core.cli.commands import lca

GUIDE = Path(__file__).parents[2] / "docs" / "experiments.md"


def test_the_guide_s_own_experiment_runs(tmp_path, monkeypatch):
    """Module and command, as printed, end in a verdict."""
    text = GUIDE.read_text()
    module = re.search(r"```python\n(# mine\.py\n.*?)```", text, re.DOTALL)[1]
    (tmp_path / "mine.py").write_text(module)
    line = re.search(r"^PYTHONPATH=\. lca (experiment .*)$", text, re.MULTILINE)[1]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(lca, [*line.split(), "--executor", "serial"])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "results" / "halved" / "results.json").read_text())
    assert found["verdict"] == "agrees"
    assert len(found["runs"]) == 6


def test_the_guide_s_python_runs(tmp_path, monkeypatch):
    """The block "From Python", as printed, makes its runs and judges them."""
    pytest.importorskip("torch")
    section = GUIDE.read_text().partition("## From Python")[2]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block, names)  # noqa: S102 - our own text
    assert names["failures"] == ()
    assert len(list(tmp_path.rglob("run.zarr"))) == len(names["jobs"]) == 3
    assert names["outcome"].verdict in {"agrees", "undecided", "disagrees"}


def test_what_the_guide_names_is_there():
    """Files and options that the guide names exist."""
    text = GUIDE.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (GUIDE.parent / link).exists(), link
    help_text = CliRunner().invoke(lca, ["experiment", "--help"]).output
    for option in set(re.findall(r"`(--[a-z-]+)", text)) - {"--nthreads", "--nanny"}:
        assert option in help_text, option
