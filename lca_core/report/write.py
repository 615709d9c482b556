"""Runs in, one file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lca_core.report.data import View, comparison
from lca_core.report.document import document
from lca_core.report.film import film
from lca_core.report.settings import readable
from lca_core.story import story
from lca_core.summary import span
from lca_core.whole import check_folder, whole
from lca_core.words import counted, few

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from lca_core.run import Run


def write_report(
    runs: Mapping[str, Run],
    path: str | os.PathLike[str],
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Write one HTML file that opens offline: story, charts, tables, settings, explanations.

    Args:
        runs: name -> finished run, or one that is being written, as far as it is.
        path: the file to write; an earlier one is replaced in one rename.
        progress: called with what is being done, how much of it is, and how much there is.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: the file could not be written; its name is in the words.
        MissingExtraError: plotly or Jinja2 is not installed.
        ValueError: there is no run.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from lca_core.reference import demo_run
        >>> from lca_core.report import write_report
        >>> with TemporaryDirectory() as folder:
        ...     write_report({"demo": demo_run()}, Path(folder) / "report.html")
        ...     [one.name for one in Path(folder).iterdir()]
        ['report.html']
    """
    place = Path(path)
    if not runs:
        msg = "A report needs at least one run, got none."
        raise ValueError(msg)
    check_folder(place)
    text = document(*_content(runs, progress or (lambda *_: None)))
    with whole(place) as aside:
        aside.write_text(text, "utf-8")


def _sampled(runs: Mapping[str, Run]) -> bool:
    """Return whether any measure saw fresh examples, so that it adds up to an estimate."""
    return any(run.redrawn(measure) for run in runs.values() for measure in run.measures)


def _content(
    runs: Mapping[str, Run], progress: Callable[[str, int, int], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is shown and what is told."""
    shown, told, done = [], [], 0
    of = sum(len(run.measures) for run in runs.values())
    for name, run in runs.items():
        view, measures, stories = View(run, 1 / len(runs)), [], []
        for measure in run.measures:
            progress(f"{name}: {measure}", done, of)
            measures.append(view.measure(measure))
            stories.append({"name": measure, "passages": story(run, measure)})
            done += 1
        shown.append({**view.itself(name), "measure": measures})
        about = f"{span(run)}, {counted(run.layout.parameters, 'parameter')}"
        settings = readable(run.config, run.measures)
        told.append({"name": name, "stories": stories, "about": about, "config": settings})
    progress("writing", done, of)
    films = [one for name, run in runs.items() if (one := film(run, name, progress))]
    measures_ = dict.fromkeys(measure for run in runs.values() for measure in run.measures)
    sides = {measure: comparison(runs, measure) for measure in measures_}
    return (
        {"runs": shown, "comparisons": {name: side for name, side in sides.items() if side}},
        {"title": few(list(runs)), "runs": told, "films": films, "sampled": _sampled(runs)},
    )
