"""`tfew leaderboard`: from stores of records to a page, and somebody else's records beside ours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfew_pl.record import RunRecord
from tfew_pl.store import RunStore

Tfew = Callable[..., Any]


@pytest.fixture(scope="module")
def store(make_variants: Callable[[], dict[str, list[RunRecord]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = RunStore(tmp_path_factory.mktemp("ours") / "records")
    for record in make_variants()["Zero-shot"]:
        records.save(record)
    return records.folder


def test_build(tfew: Tfew, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "index.html"
    given = ("--store", str(store), "--submissions", str(tmp_path / "none"))
    assert tfew("leaderboard", "build", *given, "--out", str(out)) == (0, "", f"Wrote {out}: 1 row\n")
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "zero-shot" in page
    (row,) = json.loads(tfew("leaderboard", "build", *given, "--json").out)
    assert (row["method"], row["source"], len(row["tasks"])) == ("zero-shot", "this repository", 11)


def test_submissions_stand_beside_ours(tfew: Tfew, store: Path, tmp_path: Path) -> None:
    submissions = tmp_path / "submissions"
    (submissions / "a lab").parent.mkdir()
    (submissions / "a lab").symlink_to(store)
    rows = json.loads(
        tfew("leaderboard", "build", "--store", str(store), "--submissions", str(submissions), "--json").out
    )
    assert [row["source"] for row in rows] == ["this repository", "a lab"]


def test_submit_says_what_is_wrong(tfew: Tfew, store: Path, tmp_path: Path) -> None:
    """The synthetic records have no predictions that would give their accuracies."""
    result = tfew("leaderboard", "submit", str(store), "--submissions", str(tmp_path / "into"))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"tfew: {store}: 11 problems, nothing was added\n  ")
    assert not (tmp_path / "into").exists()


def test_nothing_to_show(tfew: Tfew, tmp_path: Path) -> None:
    result = tfew("leaderboard", "build", "--store", str(tmp_path), "--out", str(tmp_path / "index.html"))
    assert result.code == 2
    assert result.err == "tfew: there is no record for a leaderboard; make some with: tfew grid table1\n"
    assert not (tmp_path / "index.html").exists()


def test_a_file_that_cannot_be_written(tfew: Tfew, store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = tfew("leaderboard", "build", "--store", str(store), "--out", str(tmp_path / "file" / "index.html"))
    assert result.code == 2
    assert result.err.startswith(f"tfew: cannot write {tmp_path / 'file' / 'index.html'}: ")
