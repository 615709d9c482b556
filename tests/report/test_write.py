"""One file, whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lca_core.cli.commands import lca
from lca_core.errors import MissingExtraError
from lca_core.reference import demo_run
from lca_core.report import document, write, write_report
from lca_core.report.names import names_of
from lca_core.story import story
from report.runs import HOSTILE, observed_run, polynomial_run


@pytest.fixture
def page(tmp_path):
    """Return the text of a report of a run by class."""
    write_report({"demo": observed_run(20)}, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text("utf-8")


def test_the_story_is_in_the_page(page):
    """Every passage of every measure is text of the page, also without JavaScript."""
    run = observed_run(20)
    for measure in run.measures:
        for passage in story(run, measure):
            assert passage.text in page


def test_the_page_names_nothing_outside_of_it(page):
    """No source, link or style is loaded; the browser is told to load nothing."""
    readable = re.sub(r'(?s)<script type="application/octet-stream".*?</script>', "", page)
    assert "http" not in readable.replace("http-equiv", "")
    assert not re.search(r'(src|href)="(?!data:)', readable)
    assert "default-src 'none'" in readable
    assert "unsafe-eval" not in readable


def test_a_typical_report_is_small(page):
    """Library and data are compressed: a few megabytes."""
    assert len(page) < 4e6


def test_names_are_escaped_in_the_text(tmp_path):
    """Names of layers and runs appear as letters: no tag of theirs is in the file."""
    run = polynomial_run(HOSTILE)
    write_report({HOSTILE[1]: run, HOSTILE[5]: run}, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert not any(mark in text for mark in ("<script>window", "<img", "<b>bold", "<a href"))
    assert "&lt;script&gt;window.hacked=1&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text


def test_a_report_appears_whole(tmp_path, monkeypatch):
    """An error in between leaves an earlier report as it was, and nothing beside it."""
    path = tmp_path / "report.html"
    path.write_text("earlier")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_report({"demo": demo_run(2)}, path)
    assert path.read_text() == "earlier"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_no_folder_is_said_before_any_work(tmp_path, monkeypatch):
    """A missing folder is named; nothing was computed for it."""
    monkeypatch.setattr(write, "document", lambda *_: pytest.fail("worked in vain"))
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        write_report({"demo": demo_run(2)}, tmp_path / "nowhere" / "report.html")


def test_no_run_is_no_report(tmp_path):
    """A report of nothing is refused."""
    with pytest.raises(ValueError, match="at least one run"):
        write_report({}, tmp_path / "report.html")


def test_a_missing_library_is_one_sentence(tmp_path, monkeypatch):
    """Without plotly the error says what to install."""
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"loss-change-allocation\[report\]"):
        write_report({"demo": demo_run(2)}, tmp_path / "report.html")


def test_the_libraries_come_late():
    """Importing the report loads neither plotly nor Jinja2."""
    probe = "import sys, lca_core.report; print({'plotly', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_reports_runs_side_by_side(tmp_path):
    """`lca report` takes several run files, names them by their paths, and says what it wrote."""
    for seed in range(2):
        demo_run(4, seed).save(tmp_path / f"seed{seed}.zarr")
    files = [str(tmp_path / f"seed{seed}.zarr") for seed in range(2)]
    done = CliRunner().invoke(lca, ["report", *files, "-o", str(tmp_path / "both.html")])
    assert done.exit_code == 0, done.output
    assert "both.html" in done.output.replace("\n", "")
    assert "<h1>seed0 and seed1</h1>" in (tmp_path / "both.html").read_text("utf-8")


def test_the_command_reports_a_run_that_is_being_written(tmp_path):
    """A run file whose training has not ended is reported as far as it is."""
    from lca_core.reference import Polynomial, track

    problem = Polynomial({"x": [1.0]}, 2)
    tracker = track({"train": problem}, {"x": [1.0]}, problem.layout, path=tmp_path / "now.zarr")
    done = CliRunner().invoke(
        lca, ["report", str(tmp_path / "now.zarr"), "-o", str(tmp_path / "now.html")]
    )
    tracker.finish()
    assert done.exit_code == 0, done.output
    assert "No step was recorded" in (tmp_path / "now.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["out/run.zarr"], ["out"]),
        (["a/run.zarr", "b/run.zarr"], ["a", "b"]),
        (["x/a/run.zarr", "y/a/run.zarr"], ["x/a", "y/a"]),
        (["one.zarr", "one.zarr"], ["one", "one (2)"]),
        (["v1.2"], ["v1.2"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(paths, names):
    """A name is as short as it can be while names differ."""
    assert names_of([Path("/data") / path for path in paths]) == names


def test_every_part_of_the_page_is_shipped():
    """The template, the style and the program lie inside of the package."""
    from importlib import resources

    shipped = {one.name for one in resources.files("lca_core.report").joinpath("page").iterdir()}
    assert {f"{part}.js" for part in document._PROGRAM} | {"template.html", "style.css"} == shipped
