"""`python -m lca_conformance ADAPTER ...`: run the suites, print the matrix."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

import lca_conformance
from lca_conformance.matrix import as_json, matrix
from lca_conformance.runner import Runner
from lca_core.adapters import find_adapter
from lca_core.errors import LCAError


def main(arguments: list[str]) -> int:
    """Run the suites on the named adapters; return pytest's exit code."""
    options, for_pytest = _parser().parse_known_args(arguments)
    names = [name for name in options.adapters if not name.startswith("-")]
    try:
        adapters = {name: find_adapter(name) for name in names}
        known = _known(options.xfails)
        if options.json:
            options.json.open("a").close()  # before the suites, which take minutes
    except (LCAError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 2
    runner = Runner(adapters, known)
    here = Path(lca_conformance.__file__).parent
    code = pytest.main(
        [str(here / "collected.py"), "-c", str(here / "suite.ini"), "--rootdir", str(here),
         "-q", *for_pytest],
        plugins=[runner],
    )  # fmt: skip
    print()  # noqa: T201
    print(matrix(runner.outcomes, list(adapters)))  # noqa: T201
    if options.json:
        options.json.write_text(as_json(runner.outcomes, list(adapters)), encoding="utf-8")
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lca_conformance",
        description="Check that adapters keep the promises of Loss Change Allocation.",
        epilog="All other options go to pytest: -x, -k EXPRESSION, --lf, ...",
        allow_abbrev=False,
    )
    parser.add_argument(
        "adapters", nargs="+", metavar="ADAPTER",
        help="numpy, torch, keras, jax, any installed adapter, or package.module:NAME",
    )  # fmt: skip
    parser.add_argument(
        "--xfails", type=Path, metavar="FILE",
        help="known failures, a part of a test's id a line; each must fail",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the matrix to a file")
    return parser


def _known(path: Path | None) -> tuple[str, ...]:
    """Read a list of known failures; `#` begins a comment."""
    if path is None:
        return ()
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return tuple(line for line in lines if line)


if __name__ == "__main__":
    sys.path.insert(0, "")
    sys.exit(main(sys.argv[1:]))
