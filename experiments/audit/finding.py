"""A printed number that disagrees with others."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One disagreement."""

    check: str
    """Name of the check that found it."""
    table: str
    """Where the number stands: a table, or a section of the text."""
    row: str
    column: str
    printed: str
    """The number as printed."""
    expected: str
    """What follows from the other numbers."""
    why: str
    """From which it follows, and the likely cause."""
