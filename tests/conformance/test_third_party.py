"""A package that this project knows nothing of passes the suite, as its authors would run it."""

import ast
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tokenize
from pathlib import Path
from textwrap import indent

import pytest

from lca_conformance import SUITES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "third_party" / "lca-autograd"
SOURCES = [path.read_text("utf-8") for path in sorted(PACKAGE.glob("lca_autograd/*.py"))]
GUIDE = (ROOT / "docs" / "writing-an-adapter.md").read_text("utf-8")
NOT_BUILT = {
    *("Activation", "BatchNorm", "Conv2D", "Dropout", "Embedding", "LayerNorm", "Residual"),
    *("RMSprop", "Adam", "AdamW", "by class", "resume", "sampling"),
}
REASON = re.compile(
    r"lca_autograd (?:does not build layer '\w+', |trains by SGD, not )(\w+)\("
    r"|lca_autograd trains by SGD, not (by class|resume|sampling)"
)


def blocks(language):
    """Return the guide's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def lines_of_code(source):
    """Count the lines that are neither blank nor comment nor docstring."""
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))[:-1]
    code = {n for t in tokens if t.type not in layout for n in range(t.start[0], t.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            code -= set(range(node.lineno, node.end_lineno + 1))
    return len(code)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that runs Python in a folder of its own, the package installed there."""
    site, here = (tmp_path_factory.mktemp(name) for name in ("site", "project"))
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--no-cache-dir", "--quiet"]
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(PACKAGE)]
    subprocess.run(pip, check=True, capture_output=True, text=True)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))

    def python(*arguments):
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=here, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python.here = here
    return python


@pytest.fixture(scope="module")
def found(run):
    """Return what the suite says about the installed package: suite -> results."""
    run("-m", "lca_conformance", "autograd", "--json", "found.json")
    return json.loads((run.here / "found.json").read_text("utf-8"))["adapters"]["autograd"]


@pytest.mark.slow
def test_it_keeps_every_promise(found):
    """Found by its entry point, it passes tests of every suite that it does not refuse whole."""
    assert list(found) == [suite.__name__ for suite in SUITES]
    assert [name for name, suite in found.items() if not suite["passed"]] == ["Samples"]
    for suite in found.values():
        assert suite["failed"] == suite["xfailed"] == []


@pytest.mark.slow
def test_it_skips_what_it_says_it_does_not_build(found):
    """Skipped are networks of layers, and trainings by optimizers, that it refuses by name."""
    skipped = {name: [one["why"] for one in suite["skipped"]] for name, suite in found.items()}
    reasons = [REASON.match(why) for every in skipped.values() for why in every]

    assert all(reasons)
    assert {reason[1] or reason[2] for reason in reasons} == NOT_BUILT
    assert {name for name, every in skipped.items() if every} == {
        "Purity", "Layouts", "Layers", "Training", "Samples", "Agreement"
    }  # fmt: skip


def test_it_is_small():
    """The whole adapter has fewer than 150 lines of code, and each file fewer than 150 lines."""
    assert sum(map(lines_of_code, SOURCES)) < 150
    assert all(source.count("\n") < 150 for source in SOURCES)


def test_its_own_example_runs(run):
    """The example in the docstring of `track` gives what it says."""
    run("-m", "pytest", "--doctest-modules", "--pyargs", "lca_autograd", "-p", "no:cacheprovider")


def test_its_books_close_by_hand(run):
    """Of float32 parameters, moved in place, measured in uneven chunks: all of it in float64."""
    program = """
import numpy as np, autograd.numpy as anp, lca_autograd
rng = np.random.default_rng(0)
x = rng.normal(size=(11, 3)); theta = {"w": np.ones(3, np.float32)}
def loss(params, batch): return anp.dot(batch["x"], params["w"]) ** 2
with lca_autograd.track(loss, theta, {"train": {"x": x}}, batch_size=4) as tracker:
    x_before = x.copy(); x[...] = 0.0
    for _ in range(3):
        theta["w"] -= np.float32(0.1) * rng.normal(size=3).astype(np.float32)
        tracker.step(theta)
def at(w): return float(((x_before @ w.astype(np.float64)) ** 2).mean())
change = at(theta["w"]) - at(np.ones(3, np.float32))
total = tracker.run.total("train")["w"].sum()
assert abs(tracker.run.loss("train")[-1] - at(theta["w"])) < 1e-13
assert abs(total - change) < 1e-13, (total, change)
"""
    run("-c", program)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('{"x": np.ones((0, 2))}', "DataError"),
        ('{"x": np.ones((3, 2)), "y": np.ones(4)}', "DataError"),
        ('{"x": np.ones((3, 2)), "mean": np.ones(3)}', "LossError"),
    ],
    ids=["no examples", "uneven data", "a mean"],
)
def test_bad_input_is_refused(run, data, error):
    """Empty or uneven data and losses that are not one an example are errors, at once."""
    program = f"""
import numpy as np, autograd.numpy as anp, lca_autograd, lca_core.errors
def loss(params, batch):
    losses = anp.dot(batch["x"], params["w"])
    return anp.mean(losses) if "mean" in batch else losses
try:
    lca_autograd.track(loss, {{"w": np.ones(2)}}, {{"train": {data}}})
except lca_core.errors.{error}:
    pass
else:
    raise SystemExit("not refused")
"""
    run("-c", program)


@pytest.mark.parametrize(
    "block", [b for b in blocks("python") if "import lca_conformance" not in b]
)
def test_the_guide_shows_the_package(block):
    """Every Python block of the guide stands in the package, line for line."""
    shown = [indent(block, " " * depth) for depth in range(0, 20, 4)]

    assert any(part in source for part in shown for source in SOURCES), block


def test_the_guides_settings_are_the_packages():
    """Every TOML block of the guide stands in the package's settings."""
    settings = (PACKAGE / "pyproject.toml").read_text("utf-8")

    assert blocks("toml")
    assert all(block in settings for block in blocks("toml"))


def test_the_guides_commands_run(run):
    """Every command of the guide that runs the suite does so; all but the plain one, on Arrays."""
    commands = [line for block in blocks("console") for line in block.splitlines()]
    suite = [shlex.split(line)[1:] for line in commands if "lca_conformance" in line]
    plain = ["-m", "lca_conformance", "autograd"]  # what `found` has run
    (run.here / "known.txt").write_text("# none\n")

    assert plain in suite
    for arguments in (one for one in suite if one != plain):
        assert "passed" in run(*arguments, "-k", "Arrays")


def test_the_guides_own_test_file_passes(run):
    """The guide's test file, saved and run by plain pytest, passes."""
    (block,) = (block for block in blocks("python") if "import lca_conformance" in block)
    (run.here / "test_promises.py").write_text(block, encoding="utf-8")

    assert " passed" in run("-m", "pytest", "-q", "test_promises.py", "-p", "no:cacheprovider")
