"""How wide a text is in the page's figures."""

import unicodedata
from functools import lru_cache
from typing import Any

FONT = "DejaVu Sans"
"""It comes with matplotlib, and is wider than what most browsers take for `system-ui`: what it leaves room for fits."""
_SIZE = 1000


def text_width(text: str, size: float) -> float:
    """Width of a line, in the units of the font's size; East Asian characters, which the font lacks, fill a square."""
    return size * sum(map(_advance, text)) / _SIZE


@lru_cache(maxsize=4096)
def _advance(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return _SIZE
    return float(_font().load_char(ord(character)).linearHoriAdvance) / 65536  # a fixed-point number


@lru_cache(maxsize=1)
def _font() -> Any:
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    font = FT2Font(findfont(FONT))
    font.set_size(_SIZE, 72)
    return font
