"""A pytest plugin for one run of the suites: the adapters, the known failures, the outcomes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field, frozen

from lca_core.adapters import find_adapter

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lca_core.adapters import Adapter

REFERENCE = "numpy"


@frozen
class Outcome:
    """What came of one test.

    Args:
        adapters: names of the adapter under test, or of the two that were compared.
        suite: name of the suite.
        test: the test's id.
        promise: what it holds, in one sentence.
        result: "passed", "failed", "skipped" or "xfailed".
        why: the reason of a skip, the end of a failure.
    """

    adapters: tuple[str, ...]
    suite: str
    test: str
    promise: str
    result: str
    why: str = ""


@define
class Runner:
    """Gives the adapters to the suites and writes down the outcomes.

    Args:
        adapters: by the name they were asked for.
        known: parts of test ids that must fail.
    """

    adapters: Mapping[str, Adapter]
    known: tuple[str, ...] = ()
    outcomes: list[Outcome] = field(factory=list)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test on every adapter, and every comparison on every pair."""
        if "pair" in metafunc.fixturenames:
            pairs = self._pairs()
            metafunc.parametrize("pair", list(pairs.values()), ids=list(map("+".join, pairs)))
        elif "adapter" in metafunc.fixturenames:
            metafunc.parametrize("adapter", list(self.adapters.values()), ids=list(self.adapters))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the known failures; one that names no test is an error."""
        for part in self.known:
            matching = [item for item in items if part in _id(item)]
            if not matching:
                msg = f"The known failure '{part}' names no test: take it off the list."
                raise pytest.UsageError(msg)
            for item in matching:
                item.add_marker(pytest.mark.xfail(strict=True, reason=f"known: {part}"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write down what came of a test."""
        report = yield
        if report.when == "call" or report.outcome != "passed":
            self.outcomes.append(self._outcome(item, report))
        return report

    def _outcome(self, item: pytest.Function, report: pytest.TestReport) -> Outcome:
        expected = hasattr(report, "wasxfail") and report.outcome == "skipped"
        suite: Any = item.cls
        return Outcome(
            adapters=self._named(item.callspec.params),
            suite=suite.__name__,
            test=_id(item),
            promise=_first_sentence(item.function.__doc__),
            result="xfailed" if expected else report.outcome,
            why=_why(report),
        )

    def _named(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        if "adapter" in params:
            return tuple(n for n, adapter in self.adapters.items() if adapter is params["adapter"])
        return next(names for names, pair in self._pairs().items() if pair == params["pair"])

    def _pairs(self) -> dict[tuple[str, ...], tuple[Adapter, Adapter]]:
        """Return every adapter with the reference, and every two of them."""
        reference = find_adapter(REFERENCE)
        pairs: dict[tuple[str, ...], tuple[Adapter, Adapter]] = {
            (name,): (adapter, reference) for name, adapter in self.adapters.items()
        }
        for (name, one), (other, second) in itertools.combinations(self.adapters.items(), 2):
            if reference not in (one, second):
                pairs[name, other] = (one, second)
        return pairs


def _id(item: pytest.Item) -> str:
    """Return "Suite::test[parameters]"."""
    return item.nodeid.partition("::")[2]


def _first_sentence(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def _why(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # a skip: file, line, reason
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message.partition("\n")[0] if crash else ""
