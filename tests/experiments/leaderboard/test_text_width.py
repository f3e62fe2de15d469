"""Widths of texts against matplotlib's own layout of them."""

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from experiments.leaderboard.text_width import FONT, text_width


@pytest.mark.parametrize("text", ["", "ia3", "prompt-tuning-10", "WWWW (iiii) …"])
def test_it_is_what_matplotlib_says(text: str) -> None:
    width, _, _ = TextToPath().get_text_width_height_descent(text, FontProperties(family=FONT, size=13), ismath=False)
    assert text_width(text, 13) == pytest.approx(width, abs=1 + 0.3 * len(text))  # it kerns, and rounds to pixels


def test_characters_that_fill_a_square() -> None:
    assert text_width("漢字", 13) == 26
