"""Names from outside."""

import pytest

from experiments.leaderboard.names import LONGEST_TEXT, alike, is_plain, is_printable


@pytest.mark.parametrize("text", ["", "lora", "Our lab", "漢字", "a=0.1, b", "x" * LONGEST_TEXT])
def test_what_a_page_shows_as_it_is(text: str) -> None:
    assert is_printable(text)
    assert is_plain(text)


@pytest.mark.parametrize("text", ["a  b", " a", "a ", " ", "\u3164", "a\u2800"])
def test_what_looks_like_another_or_like_nothing(text: str) -> None:
    assert is_printable(text)
    assert not is_plain(text)


@pytest.mark.parametrize("text", ["a\nb", "\u202eab", "a\u00a0b", "x" * (LONGEST_TEXT + 1)])
def test_what_cannot_be_printed(text: str) -> None:
    assert not is_printable(text)
    assert not is_plain(text)


def test_names_that_are_read_as_one() -> None:
    assert alike("This Repository", "this  repository")
    assert alike("\uff54his repository", "this repository")
    assert not alike("that repository", "this repository")
