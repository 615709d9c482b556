"""Runs of the command line whose pictures nobody looks at."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def undrawn(monkeypatch):
    """Make figures, and leave an empty file where each would be: drawing takes the most time."""
    monkeypatch.setattr("lca_core.cli.run.save", lambda _, path: Path(path).touch())
