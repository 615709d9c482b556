"""The guide to the analyses runs as it is printed."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "analyses.md"


def test_every_block_runs(capsys):
    """All Python blocks, one after the other, and everything that they print is a number."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    names = {}
    for block in blocks:
        exec(block, names)  # noqa: S102 - our own text
    assert len(blocks) >= 6
    assert len(capsys.readouterr().out.splitlines()) >= 7
    assert names["over_time"].of_moving.mean() > 0.5
    assert names["together"].observed >= 0
