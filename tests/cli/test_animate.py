"""`lca animate` films a run file, and says what it cannot film."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.stopped import STOPS, stopped
from lca_core import Dense, load
from lca_core.cli import animate, commands
from lca_core.film import Film, named_colours
from lca_core.reference import demo_run


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return the path of a dense run."""
    path = tmp_path_factory.mktemp("run") / "run.zarr"
    demo_run(8, observers=[Dense()]).save(path)
    return path


def lca_animate(*arguments):
    """Run the command."""
    return CliRunner().invoke(commands.lca, ["animate", *map(str, arguments)])


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_film_is_written(name, stored, tmp_path):
    """The file is there; what it shows is said, with bars on the way."""
    result = lca_animate(stored, "-o", tmp_path / name, "--width", 320, "--every", 2)
    assert result.exit_code == 0, result.output
    assert (tmp_path / name).stat().st_size > 1000
    *bars, last = result.output.splitlines()
    assert last.startswith(f"The film: {tmp_path / name} (4 frames of 320 × 180; a parameter is")
    assert "8/8" in bars[0]
    assert "4/4" in bars[1]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--steps", "2:5"], {"steps": slice(2, 5)}),
        (["--steps", ":-3"], {"steps": slice(None, -3)}),
        (["--measure", "train", "--fps", 12], {"measure": "train", "fps": 12.0}),
        (["--every", 3, "--width", 640], {"every": 3, "width": 640}),
        (["--dark"], {"colours": named_colours(dark=True)}),
        (["--colours", "colour-blind"], {"colours": named_colours("colour-blind")}),
    ],
)
def test_options(arguments, options, stored, tmp_path, monkeypatch):
    """What was asked for reaches `write_film`; the rest has its defaults."""
    asked = {}

    def write_film(run, path, measure, **given):
        asked.update(given, measure=measure)
        return Film(path, 8, 1920, 1080, 4, 1, 1e-6, 30.0)

    monkeypatch.setattr(animate, "write_film", write_film)
    result = lca_animate(stored, "-o", tmp_path / "a.mp4", *arguments)
    assert result.exit_code == 0, result.output
    del asked["told"]
    default = {"measure": None, "fps": 30.0, "steps": slice(None), "every": 1, "width": None,
               "colours": named_colours()}  # fmt: skip
    assert asked == {**default, **options}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "3"], "give A:B"),
        (["--steps", "a:b"], "give A:B"),
        (["--steps", "9:"], "has 8 steps"),
        (["--every", "0"], "--every"),
        (["--width", "10"], "--width"),
        (["--fps", "nan"], "nan is not a finite number"),
        (["--colours", "pink"], "--colours"),
        (["--measure", "test"], "not 'test'"),
    ],
)
def test_what_cannot_be_meant(arguments, words, stored, tmp_path):
    """Refused in a sentence, without a traceback or a file."""
    result = lca_animate(stored, "-o", tmp_path / "a.mp4", *arguments)
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert isinstance(result.exception, SystemExit)
    assert not list(tmp_path.iterdir())


def test_from_training_to_film(tmp_path):
    """`lca run --dense --watch` records what a film and the trajectories need."""
    arguments = ["run", "--backend", "numpy", "--examples", "60", "--batch-size", "30"]
    arguments += ["--epochs", "2", "--dense", "--watch", "2", "--out", str(tmp_path)]
    result = CliRunner().invoke(commands.lca, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "trajectories.png").exists()
    run = load(tmp_path / "run.zarr")
    assert run.watched("train").weight.shape == (4, 6)
    dense = sum(np.asarray(run.dense("train", name)).sum() for name in run.layout.names)
    assert dense == pytest.approx(run.allocation("train").values.sum(), rel=1e-4)
    result = lca_animate(tmp_path / "run.zarr", "-o", tmp_path / "film.gif")
    assert result.exit_code == 0, result.output


def test_a_run_that_is_not_dense(tmp_path):
    """The remedy is in the sentence."""
    demo_run(2).save(tmp_path / "run.zarr")
    result = lca_animate(tmp_path / "run.zarr", "-o", tmp_path / "a.mp4")
    assert result.exit_code == 1
    assert "lca run --dense" in result.output


def test_sums_are_said():
    """Where a square is the sum of several parameters, the line says so."""
    said = animate.description(
        Film(Path("a.mp4"), 2, 1920, 1080, zoom=2, pool=3, scale=1e-6, fps=30)
    )
    assert "the sum of 3 × 3 parameters is 2 × 2 pixels; full colour from |LCA| = 1e-06 on" in said


def test_one_frame_is_one():
    """The line counts as one speaks."""
    said = animate.description(Film(Path("a.mp4"), 1, 1920, 1080, 2, 1, 1e-6, 30))
    assert "(1 frame of 1920 × 1080;" in said


@pytest.mark.parametrize(
    ("name", "fps", "words"),
    [
        ("a.gif", 30, "; 30 frames a second on average, delays of 0.03 and 0.04 s)."),
        ("a.GIF", 7.5, "; 7.5 frames a second on average, delays of 0.13 and 0.14 s)."),
        ("a.gif", 0.7, "; 0.7 frames a second on average, delays of 1.42 and 1.43 s)."),
        ("a.gif", 25, " on)."),
        ("a.mp4", 30, " on)."),
    ],
)
def test_the_pace_of_a_gif_is_said(name, fps, words):
    """Where no whole hundredth of a second gives the pace, the line says what does."""
    film = Film(Path(name), 8, 960, 540, 2, 1, 1e-6, fps)
    assert animate.description(film).endswith(words)


def test_a_gif_is_not_faster_than_browsers(stored, tmp_path):
    """What would be played slowly is refused with what to ask for; nothing is left."""
    result = lca_animate(stored, "-o", tmp_path / "a.gif", "--fps", 51)
    assert result.exit_code == 1
    assert "at most 50 frames a second, got 51" in result.output
    assert "--fps" in result.output
    assert not list(tmp_path.iterdir())
    assert "at most 50" in lca_animate("--help").output


@pytest.mark.parametrize("number", STOPS, ids=lambda one: one.name)
def test_a_film_that_is_stopped_leaves_nothing(number, tmp_path):
    """By Ctrl-C, a scheduler, a closed terminal: no half film, no hidden file, no ffmpeg."""
    demo_run(4_000, observers=[Dense()]).save(tmp_path / "run.zarr")
    status, _, complained = stopped(
        ["animate", tmp_path / "run.zarr", "-o", tmp_path / "film.mp4"],
        number,
        lambda: list(tmp_path.glob(".*.partial")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert status == 128 + number
    assert not complained
    assert [one.name for one in tmp_path.iterdir()] == ["run.zarr"]
