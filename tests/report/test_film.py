"""The film comes along where there is one, and is small enough to travel."""

from __future__ import annotations

import base64

import pytest

from core.sampled import redrawn, walked
from lca_core import Dense, default_observers
from lca_core.errors import MissingExtraError
from lca_core.film import write_film
from lca_core.reference import demo_run
from lca_core.report import film as room
from lca_core.report.film import film


def dense_run(steps):
    """Return a run that holds every parameter at every step."""
    return demo_run(steps, observers=[*default_observers(demo_run(0).layout), Dense()])


def nobody(*_):
    """Show nothing."""


@pytest.mark.parametrize("run", [demo_run(3), dense_run(0)], ids=["not dense", "no step"])
def test_without_dense_steps_there_is_no_film(run):
    """A run that does not hold every parameter has none."""
    assert film(run, "demo", nobody) == {}


def test_a_missing_encoder_is_told_in_the_page(monkeypatch):
    """The reader learns that there would be a film, and what to install."""

    def missing(*_, **__):
        need = "Films"
        raise MissingExtraError(need, "film")

    monkeypatch.setattr("lca_core.film.write_film", missing)
    found = film(dense_run(3), "demo", nobody)
    assert "loss-change-allocation[film]" in found["text"]
    assert found["data"] == ""


@pytest.mark.slow
def test_the_words_are_of_this_film():
    """A single frame is one frame; what is grey is told where, and only where, nobody looked."""
    single = film(dense_run(1), "demo", nobody)["text"]
    assert single.startswith("1 frame, every step")
    assert "Grey" not in single
    thinned = film(walked({"train": redrawn(every=4)}, observers=[Dense()]), "demo", nobody)
    assert thinned["text"].endswith("Grey steps were not looked at.")


@pytest.mark.slow
def test_steps_are_left_out_until_it_can_travel(monkeypatch):
    """What is embedded is a whole film within the limit; its text says how many steps a frame."""
    whole = film(dense_run(40), "demo", nobody)
    kind, data = whole["data"].split(",")
    size = len(base64.b64decode(data))
    assert kind == "data:video/mp4;base64"
    assert whole["text"].startswith("40 frames, every step is a frame")
    monkeypatch.setattr(room, "MOST_BYTES", int(0.8 * size))
    fewer = film(dense_run(40), "demo", nobody)
    assert len(base64.b64decode(fewer["data"].split(",")[1])) <= 0.8 * size
    assert "a frame every" in fewer["text"]
    monkeypatch.setattr(room, "MOST_BYTES", 10)
    assert "too large" in film(dense_run(40), "demo", nobody)["text"]


@pytest.mark.slow
def test_the_film_is_that_of_the_film_room(tmp_path):
    """The bytes in the page are those that `write_film` writes with the same settings."""
    run = dense_run(5)
    write_film(run, tmp_path / "film.mp4", "train", fps=room._PACE, width=room._WIDTH)
    data = film(run, "demo", nobody)["data"].split(",")[1]
    assert base64.b64decode(data) == (tmp_path / "film.mp4").read_bytes()
