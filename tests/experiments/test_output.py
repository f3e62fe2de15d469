"""Listings."""

import json

import pytest
from rich.console import Console

from experiments.output import Column, show_json, show_table


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("name", "task"), Column("shots", "shots", "right"), Column("note", "note"))
    rows = [{"name": "rte", "shots": 32, "note": None}, {"name": "hellaswag", "shots": 5, "note": "[bold]x"}]
    show_table(rows, columns)
    header, rule, first, second = capsys.readouterr().out.splitlines()
    assert header.index("shots") + len("shots") == first.index("32") + 2 == second.index(" 5") + 2
    assert header.index("note") == first.index("-") == second.index("[bold]x")
    assert set(rule) == {"─"}
    assert not any(line.endswith(" ") for line in (header, first, second))


def test_large_tables_look_like_small_ones(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("name", "task"), Column("shots", "shots", "right"), Column("note", "note"))
    rows = [{"name": name, "shots": len(name) ** 4, "note": note} for name in ("rte", "cb") for note in ("(IA)³", None)]
    show_table(rows, columns)
    small = capsys.readouterr().out
    monkeypatch.setattr("experiments.output._MANY", 3)
    show_table(rows, columns)
    assert capsys.readouterr().out == small


def test_nothing_is_cut_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([{"text": "word " * 60}], (Column("text", "text"),))
    assert ("word " * 60).strip() in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_json([3, 1, 2])
    assert capsys.readouterr().out == "[3, 1, 2]\n"
    rows = [{"name": "(IA)³", "value": None}]
    show_json(rows)
    assert json.loads(capsys.readouterr().out) == rows
    with pytest.raises(ValueError, match="JSON compliant"):
        show_json({"value": float("nan")})


def _in_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr("experiments.output.console", lambda: Console(width=width, highlight=False))


def test_a_narrow_terminal_breaks_texts_but_no_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_a_terminal(monkeypatch, 40)
    columns = (Column("why", "why"), *(Column(name, name, "right", "{:,}".format) for name in "abcde"))
    show_table([{"why": "a long reason " * 3, **dict.fromkeys("abcde", 109_783)}], columns)
    _, _, first, *others = capsys.readouterr().out.splitlines()
    assert first.count("109,783") == 5
    assert " ".join([first.split("  ")[0], *others]).split() == ("a long reason " * 3).split()


def test_a_narrow_terminal_wraps_what_is_text_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_a_terminal(monkeypatch, 40)
    show_table([{"why": "a long reason " * 9, "n": 3}], (Column("why", "why"), Column("n", "n", "right")))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 40
