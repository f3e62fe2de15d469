"""Tables as Markdown, text and CSV."""

import csv
import io
import re
from html import unescape

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


def test_markdown_shows_text_as_it_is() -> None:
    from markdown_it import MarkdownIt

    texts = ("[a](http://e.org) ~~b~~ &lt;i&gt; `c` d*e*_f_ <b>", "[-9.9, -5.2]", "`--store w/records`", r"\alpha | &")
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(markdown(Document((), texts)))
    lines = re.findall("<li>(.*)</li>", shown)
    assert tuple(map(unescape, lines)) == texts
    assert not any("<" in line for line in lines)
    assert "- [-9.9, -5.2]" in markdown(Document((), texts)), "what needs no escape has none"


def test_each_of_several_documents_begins_after_an_empty_line() -> None:
    one = Document((BLOCK,), ("A note.",))
    assert markdown(one, one) == f"{markdown(one)}\n{markdown(one)}"


def test_text() -> None:
    shown = text(Console(width=60, color_system=None), Document((BLOCK,), ("word " * 40,))).splitlines()
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
