"""Names from outside: such as a page shows as they are, and a person tells apart."""

import re
import unicodedata

LONGEST_TEXT = 320
_BLANK = re.compile("[\u115f\u1160\u2800\u3164\uffa0]")
"""Characters that count as printable and show nothing: Hangul's fillers, Braille's blank."""


def is_printable(text: str) -> bool:
    """Whether a text is short and has neither line breaks nor marks that turn the direction of reading."""
    return len(text) <= LONGEST_TEXT and text.isprintable()


def is_plain(text: str) -> bool:
    """Whether a text is shown as it is: printable, its words a single space apart, none before or behind them."""
    return is_printable(text) and " ".join(text.split()) == text and not _BLANK.search(text)


def alike(one: str, other: str) -> bool:
    """Whether two names differ at most in their case, their spaces or the form of their letters."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
