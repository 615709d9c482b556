"""The host's random streams."""

from __future__ import annotations

import random
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core.streams import HostStreams, _Python, untouched_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DRAWS: dict[str, Callable[[], object]] = {
    "uniform": np.random.rand,
    "normal": np.random.randn,
    "pair": lambda: np.random.randn(2),
    "integer": lambda: np.random.randint(10),
    "all words": lambda: np.random.bytes(4 * 624),
    "python": random.random,
    "reseed": lambda: np.random.seed(5),
}


@pytest.fixture(autouse=True)
def own_stream() -> Iterator[None]:
    """Leave NumPy's stream of the test process as it was."""
    state = np.random.get_state()
    yield
    np.random.set_state(state)


def drawn() -> list[float]:
    """Return what comes next in both streams."""
    return [*np.random.randn(3), *np.random.rand(2), random.random()]


@contextmanager
def looked_at(streams: HostStreams) -> Iterator[None]:
    """Run with fixed streams, in a `with` block."""
    give_back = streams.fixed()
    try:
        yield
    finally:
        give_back()


names = st.lists(st.sampled_from(sorted(DRAWS)), max_size=4)


@pytest.mark.parametrize("of_one_function", [False, True])
@given(rounds=st.lists(st.tuples(names, names), min_size=1, max_size=4))
def test_a_training_draws_the_same_whatever_is_drawn_inside(
    rounds: list[tuple[list[str], list[str]]], *, of_one_function: bool
) -> None:
    """Whatever is drawn before and inside, in turns, the caller's streams go on as without."""
    look = partial(looked_at, HostStreams()) if of_one_function else untouched_host
    if of_one_function:  # which draws as it did at first
        rounds = [(before, rounds[0][1]) for before, _ in rounds]

    def training(*, tracked: bool) -> list[float]:
        random.seed(3)
        np.random.seed(3)
        for before, inside in rounds:
            for name in before:
                DRAWS[name]()
            if tracked:
                with look():
                    for name in inside:
                        DRAWS[name]()
        return drawn()

    assert training(tracked=True) == training(tracked=False)


def test_a_function_that_begins_to_draw_is_seen() -> None:
    """Its stream is given back from the first draw on, and fixed from the next call on."""
    streams = HostStreams()
    np.random.seed(3)
    expected = np.random.rand(4)
    np.random.seed(3)
    found, inside = [], []
    for draws in (0, 0, 1, 1):
        with looked_at(streams):
            inside.append(np.random.rand(draws).tolist())
        found.append(np.random.rand())
    np.random.seed(0)

    np.testing.assert_array_equal(found, expected)
    assert inside[-1] == [np.random.rand()]


def test_inside_the_streams_are_those_of_the_seed() -> None:
    """A look draws the same numbers every time, those of Python's and NumPy's own seeds."""

    def looked() -> list[float]:
        with untouched_host(11):
            return drawn()

    first, again = looked(), looked()
    random.seed(11)
    np.random.seed(11)

    assert first == again == drawn()


def test_looks_inside_of_looks_give_back_their_own() -> None:
    """Nested looks, one of which fails, each restore what they found."""
    random.seed(1)
    np.random.seed(1)
    expected = drawn()
    random.seed(1)
    np.random.seed(1)

    with untouched_host(2):
        np.random.rand()
        with suppress(ZeroDivisionError), untouched_host(3):
            raise ZeroDivisionError(np.random.randn())

    assert drawn() == expected


def test_another_generator_in_numpys_place_goes_on() -> None:
    """A global generator that knows no seed is given back, too."""
    twister = np.random.get_bit_generator()
    try:
        used = HostStreams()
        with looked_at(used):
            pass  # from here on, it would only compare NumPy's own
        looks = (untouched_host, partial(looked_at, HostStreams()), partial(looked_at, used))
        for look in looks:
            np.random.set_bit_generator(np.random.PCG64(4))
            expected = np.random.rand(3)
            np.random.set_bit_generator(np.random.PCG64(4))
            with look():
                np.random.rand()
            np.testing.assert_array_equal(np.random.rand(3), expected)
    finally:
        np.random.set_bit_generator(twister)


def test_a_stream_that_nobody_can_look_at_is_seeded_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where Python does not keep its words as CPython does, a look costs more and is as good."""
    monkeypatch.setattr("lca_core.streams._STREAMS", (_Hidden(),))
    streams, inside = HostStreams(), []
    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)
    found = []
    for draws in (0, 0, 1):
        with looked_at(streams):
            inside.append([random.random() for _ in range(draws)])
        found.append(random.random())
    random.seed(0)

    assert found == expected
    assert inside[-1] == [random.random()]


def test_the_words_of_pythons_stream_are_where_they_are_looked_for() -> None:
    """CPython promises it nowhere: where this fails, looks are right but slower."""
    assert _Python().address()


class _Hidden(_Python):
    def address(self) -> int:
        return 0
