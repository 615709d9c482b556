"""Every ratio goes into the JSON of pytest-benchmark, and into a table at the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

NOTED = "noted"

# Frameworks are for the processes that measure; doctests would be looked for in all modules.
collect_ignore_glob = ["on_*.py", "*_process.py"]


@pytest.fixture
def noted(benchmark, record_property) -> Callable[..., None]:
    """Return a function that notes a ratio, and what is asked of it."""

    def note(what: str, where: str, ratio: float, asked: float = math.inf, **more: Any) -> None:
        limit = {} if math.isinf(asked) else {"asked": asked}
        benchmark.extra_info[what] = {"where": where, "ratio": ratio, **limit, **more}
        record_property(NOTED, (what, where, ratio, asked, more))

    return note


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what the tests noted, one line a ratio."""
    ended = [report for kind in terminalreporter.stats.values() for report in kind]
    called = [report for report in ended if getattr(report, "when", None) == "call"]
    rows = [value for report in called for name, value in report.user_properties if name == NOTED]
    if not rows:
        return
    terminalreporter.section("ratios")
    for what, where, ratio, asked, more in rows:
        limit = "" if math.isinf(asked) else f"≤ {asked:.2f}"
        kept = "" if ratio <= asked else "missed"
        beside = ", ".join(f"{name} {_short(value)}" for name, value in more.items())
        terminalreporter.write_line(
            f"{what:34} {where:32} {ratio:7.3f} {limit:7} {kept:7} {beside}"
        )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"
