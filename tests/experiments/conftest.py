"""Where the trainings of the small experiment leave their marks."""

import pytest


@pytest.fixture
def marks(tmp_path, monkeypatch):
    """Return the file that every training which is begun adds a line to."""
    path = tmp_path / "marks.txt"
    monkeypatch.setenv("LCA_TINY_MARKS", str(path))
    return path
