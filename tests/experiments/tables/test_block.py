"""Tables as Markdown, text and CSV."""

import csv
import io

import pytest
from rich.console import Console

from experiments.tables.block import Block, Document, markdown, text, to_csv

BLOCK = Block("A title", ("method", "two\nlines"), (("a|b", "1"), ("c", "22")), last_apart=True)


def test_markdown() -> None:
    assert markdown(Document((BLOCK,), ("A note.", "x * y"))).splitlines() == [
        "**A title**",
        "",
        "| method | two lines |",
        "|--------|----------:|",
        r"| a\|b   |         1 |",
        "| c      |        22 |",
        "",
        "- A note.",
        r"- x \* y",
    ]


def test_text() -> None:
    shown = text(Document((BLOCK,), ("word " * 40,)), Console(width=60, color_system=None)).splitlines()
    assert shown[:3] == ["A title", "          two", "method  lines"]
    assert shown[4] == "a|b         1"
    assert shown[5].strip() == ""  # the last row stands apart
    assert shown[6] == "c          22"
    notes = shown[8:]
    assert notes[0].startswith("- word")
    assert all(line.startswith("  word") for line in notes[1:])
    assert max(map(len, notes)) <= 60


def test_cells_must_fit_the_header() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 titles"):
        Block("", ("a", "b"), (("1",),))


def test_csv() -> None:
    rows = [{"a": "x, y", "b": None}, {"a": "z", "b": 1.5}]
    assert list(csv.DictReader(io.StringIO(to_csv(rows)))) == [{"a": "x, y", "b": ""}, {"a": "z", "b": "1.5"}]
