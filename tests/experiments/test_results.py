"""The committed results are whole, and the table of them is true."""

import json
import re
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FOUND = sorted(RESULTS.glob("*/*/results.json"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_result_is_whole(path):
    """Strict JSON, the same verdict in words, every picture, and no run missing."""
    found = json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)
    page = (path.parent / "verdict.md").read_text("utf-8")
    assert f"**The verdict:** {found['verdict']}." in page
    assert found["command"] in page
    assert found["missing"] == []
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert pictures
    assert all((path.parent / name).stat().st_size > 5_000 for name in pictures)


def test_the_table_names_every_result_with_its_verdict():
    """Nothing is left out, and nothing is said that the files do not say."""
    page = (RESULTS / "README.md").read_text("utf-8")
    said = re.findall(r"\[(\w+)\]\(([\w-]+/[\w-]+)/verdict\.md\)", page)
    verdicts = {
        str(path.parent.relative_to(RESULTS)): json.loads(path.read_text("utf-8"))["verdict"]
        for path in FOUND
    }
    assert {place: verdict for verdict, place in said} == verdicts
    assert len(said) == len(verdicts) >= 11
