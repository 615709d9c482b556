"""The guide to the terminal runs as it is printed."""

import re
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "docs" / "showing.md").read_text("utf-8")


def test_every_block_runs(capsys):
    """The Python blocks run: the story is printed, and the loop shows its last state."""
    pytest.importorskip("torch")
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL):
        exec(block, names)  # noqa: S102 - our own text
    shown = capsys.readouterr().out
    assert "loss: The train loss fell by" in shown
    assert "50/50" in shown
    assert names["tracker"].overhead.steps == 49


def test_the_example_fits():
    """What the guide shows of 80 columns has 80 at most."""
    (shown, line) = re.findall(r"^```text\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert max(map(len, (shown + line).splitlines())) <= 80
