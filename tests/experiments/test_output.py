"""Listings."""

import json

import pytest

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
