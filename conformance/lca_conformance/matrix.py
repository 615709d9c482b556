"""What a run of the suites found: adapters x promises, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Any

from lca_conformance.suites import SUITES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_conformance.runner import Outcome


def matrix(outcomes: Sequence[Outcome], adapters: Sequence[str]) -> str:
    """Return a table, a line a promise and a column an adapter, and what is behind its marks.

    Args:
        outcomes: of one run.
        adapters: names, in the order of the columns.

    Example:
        >>> from lca_conformance.runner import Outcome
        >>> one = Outcome(("mine",), "Arrays", "Arrays::test_x[mine]", "Sums add.", "passed")
        >>> print(*matrix([one], ["mine"]).splitlines()[1].split())
        Arrays come and go unharmed, and sums are those of float64. ✓ 1
    """
    promises = {suite.__name__: promise_of(suite) for suite in SUITES}
    width = max(map(len, promises.values())) + 2
    columns = {name: max(len(name), 9) for name in adapters}
    lines = [" " * width + "  ".join(f"{n:>{columns[n]}}" for n in adapters)]
    for suite, promise in promises.items():
        cells = [_cell(_of(outcomes, suite, name)) for name in adapters]
        if any(cells):
            row = "  ".join(f"{c:>{columns[n]}}" for n, c in zip(adapters, cells, strict=True))
            lines.append(f"{promise:<{width}}{row}")
    for result, title in (("failed", "Broken"), ("skipped", "Skipped"), ("xfailed", "Known")):
        lines += _list(title, [one for one in outcomes if one.result == result])
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome], adapters: Sequence[str]) -> str:
    """Return the same for programs: adapter -> suite -> promise, counts and tests by result."""
    found: dict[str, Any] = {name: {} for name in adapters}
    for name in adapters:
        for suite in SUITES:
            ones = _of(outcomes, suite.__name__, name)
            if ones:
                by_result = {
                    result: [{"test": o.test, "promise": o.promise, "why": o.why} for o in ones
                             if o.result == result]
                    for result in ("failed", "skipped", "xfailed")
                }  # fmt: skip
                passed = sum(one.result == "passed" for one in ones)
                found[name][suite.__name__] = {
                    "promise": promise_of(suite), "passed": passed, **by_result,
                }  # fmt: skip
    version = metadata.version("loss-change-allocation")
    return json.dumps({"version": version, "adapters": found}, indent=2, ensure_ascii=False)


def promise_of(suite: type) -> str:
    """Return what a suite promises: the first line of its docstring."""
    return (suite.__doc__ or "").strip().partition("\n")[0]


def _of(outcomes: Sequence[Outcome], suite: str, adapter: str) -> list[Outcome]:
    return [one for one in outcomes if one.suite == suite and adapter in one.adapters]


def _cell(outcomes: Sequence[Outcome]) -> str:
    """Return "✓ 12", "✗ 2/12", or "✓ 10 – 2" where two were skipped."""
    count = Counter(one.result for one in outcomes)
    if not outcomes:
        return ""
    if count["failed"]:
        return f"✗ {count['failed']}/{len(outcomes)}"
    rest = count["skipped"] + count["xfailed"]
    return f"✓ {count['passed']}" + (f" – {rest}" if rest else "")


def _list(title: str, outcomes: Sequence[Outcome]) -> list[str]:
    lines = ["", f"{title}:"] if outcomes else []
    for one in outcomes:
        lines += [f"  {one.promise}", f"    {one.test}", f"    {one.why}"]
    return lines
