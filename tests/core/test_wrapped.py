"""Sentences broken into lines: numbers stay whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core.wrapped import wrapped

SENTENCE = "fc1 (-0.58139 ± 0.00062) helped on 50 % of the steps; p < 0.001, as coins would."


@given(st.integers(12, 100))
def test_no_number_is_cut(width):
    """At any width that holds the longest word, lines hold whole words and are short enough."""
    lines = wrapped(SENTENCE, width).split("\n")
    assert " ".join(lines) == SENTENCE
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", range(24, 60))
def test_a_sign_stays_with_its_number(width):
    """Where there is room, no line begins or ends with a sign."""
    for line in wrapped(SENTENCE, width).split("\n"):
        assert not line.startswith(("±", "<", "%"))
        assert not line.endswith(("±", "<"))


def test_longer_words_are_cut_rather_than_run_out():
    """A name that no line holds is broken where the line ends."""
    assert max(map(len, wrapped("a" * 50 + " is a layer", 20).split("\n"))) <= 20
