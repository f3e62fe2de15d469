"""`tfew table`: from a store of synthetic records to what is printed and written."""

import csv
import dataclasses
import functools
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import experiments.commands.table
import experiments.grid
import experiments.tables.catalog
from experiments.finished import Selection
from experiments.replacements import Replaced
from experiments.tables.block import markdown, to_csv
from experiments.tables.html import html
from experiments.tables.latex import latex
from experiments.tables.table1 import Table1
from experiments.tables.table1_document import document
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore

Tfew = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_checkpoint_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = functools.partial(experiments.grid.load_grid, resolved=lambda spec: spec)
    monkeypatch.setattr(experiments.grid, "load_grid", load)


@pytest.fixture
def grid() -> experiments.grid.Grid:
    """Table 1's grid, its specs left as they are."""
    return experiments.grid.load_grid(experiments.grid.find_grid("table1"))


@pytest.fixture(scope="module")
def folder(make_variants: Callable[[], dict[str, list[RunRecord]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record for every run of the grid, with the synthetic records' findings."""
    grid = experiments.grid.load_grid(experiments.grid.find_grid("table1"), resolved=lambda spec: spec)
    found = {_run(record.spec): record for records in make_variants().values() for record in records}
    records = RunStore(tmp_path_factory.mktemp("store"))
    for run in grid.runs:
        records.save(dataclasses.replace(found[_run(run.spec)], spec=run.spec))
    return records.folder


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> RunStore:
    """A copy of it."""
    shutil.copytree(folder, tmp_path / "results" / "records", copy_function=os.link)
    return RunStore(tmp_path / "results" / "records")


def _run(spec: RunSpec) -> tuple[str, str, int]:
    return spec.task, spec.method, spec.seed


def test_prints_and_writes(tfew: Tfew, store: RunStore) -> None:
    result = tfew("table", "1", "--store", str(store.folder))
    assert result.code == 0
    assert result.out.startswith("Table 1: accuracy on the held-out tasks, and its cost\n")
    written = sorted(path.name for path in store.folder.parent.iterdir())
    assert written == [
        "figure3.png",
        "figure3.svg",
        "records",
        *(f"table1.{ending}" for ending in ("csv", "html", "md", "tex")),
        "table1_tasks.csv",
    ]
    with (store.folder.parent / "table1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows][:3] == ["T-Few", "Zero-shot", "In-context learning"]
    assert f"{float(rows[0]['accuracy']):.1f}" in result.out


def test_json(tfew: Tfew, store: RunStore) -> None:
    result = tfew("table", "1", "--store", str(store.folder), "--json")
    rows = json.loads(result.out)
    assert [row["paper_accuracy"] for row in rows] == [72.4, 66.9, 49.6, 57.2, 60.3, 66.6]
    assert rows[0]["accuracy"] > rows[1]["accuracy"] > rows[2]["accuracy"]
    assert not (store.folder.parent / "table1.md").exists()


def test_json_has_the_tasks_of_each_row(tfew: Tfew, store: RunStore) -> None:
    rows = json.loads(tfew("table", "1", "--store", str(store.folder), "--json").out)
    assert [len(row["tasks"]) for row in rows] == [11, 11, 11, 0, 0, 0]
    assert {task["method"] for task in rows[0]["tasks"]} == {"T-Few"}


def test_formats(tfew: Tfew, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Table1] = []
    monkeypatch.setattr(
        experiments.commands.table, "_write", lambda made, table, runs, folder: tables.append(table) or []
    )
    arguments = ("table", "1", "--store", str(store.folder), "--format")
    shown = [tfew(*arguments, form).out for form in ("markdown", "csv", "latex", "html")]
    content = document(tables[0], "not needed: nothing is missing")
    assert shown == [markdown(content), to_csv(tables[1].values()), latex(content), html(content)]


def test_all_tables_are_one_document(tfew: Tfew, store: RunStore) -> None:
    from markdown_it import MarkdownIt

    asked = ("table", "all", "--store", str(store.folder), "--out", str(store.folder.parent), "--format")
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(tfew(*asked, "markdown").out)
    titles = re.findall(r"<p><strong>(Table \d+)", shown)
    assert list(dict.fromkeys(titles)) == [f"Table {number}" for number in range(1, 12)]
    assert tfew(*asked, "html").out.count("<!doctype") == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("8", "--json", "--format", "latex"), "--json and --format latex exclude each other"),
        (("8", "--unfinished", "--format", "csv"), "it goes without --format and --out"),
        (("8", "--unfinished", "--out", "there"), "it goes without --format and --out"),
        (("all", "--format", "csv"), "no columns in common"),
    ],
)
def test_options_without_effect_are_refused(tfew: Tfew, flags: tuple[str, ...], said: str) -> None:
    result = tfew("table", *flags)
    assert (result.code, result.out, said in result.err) == (2, "", True)


def test_missing_runs_name_a_command_for_a_shell(tfew: Tfew, tmp_path: Path) -> None:
    store = tmp_path / "my store"
    command = tfew("table", "8", "--store", str(store)).err.rpartition("make them with: ")[2]
    assert shlex.split(command)[-3:] == ["table8", "--store", str(store)]


def test_missing_runs_name_the_command_that_makes_them(
    tfew: Tfew, grid: experiments.grid.Grid, store: RunStore
) -> None:
    (store.path(grid.runs[3].spec) / "record.json").unlink()
    result = tfew("table", "1", "--store", str(store.folder))
    command = f"tfew grid table1 --store {store.folder}"
    assert result.code == 0
    assert result.err.startswith(f"tfew: 1 of 121 runs are missing in {store.folder}; make them with: {command}\n")
    assert f"The command that makes them: {command}" in result.out.replace("\n  ", " ")
    row = json.loads(tfew("table", "1", "--store", str(store.folder), "--json").out)[0]
    assert (row["accuracy"], row["missing_runs"]) == (None, 1)


def test_without_any_run_nothing_is_written(tfew: Tfew, tmp_path: Path) -> None:
    store = tmp_path / "none" / "records"
    for arguments in (("table", "4"), ("figure", "2")):
        result = tfew(*arguments, "--store", str(store))
        assert result.code == 0
        assert "825 of 825 runs are missing" in result.err
        assert not store.parent.exists()


def test_unfinished_grids(tfew: Tfew, store: RunStore, grid: experiments.grid.Grid) -> None:
    flags = ("--unfinished", "--store", str(store.folder))
    assert tfew("table", "1", *flags) == (0, "", "")
    assert json.loads(tfew("table", "all", *flags, "--json").out) == [
        *(f"table{i}" for i in range(2, 11)),
        "control",
    ]
    (store.path(grid.runs[3].spec) / "record.json").unlink()
    assert tfew("table", "1", *flags).out == "table1\n"


def test_all_tables(tfew: Tfew, store: RunStore) -> None:
    """Those whose runs are there are written; Tables 8 and 10 share T-Few's with Table 1."""
    tables = json.loads(tfew("table", "all", "--store", str(store.folder), "--json").out)
    assert list(tables) == [str(number) for number in experiments.tables.catalog.TABLES]
    assert [row["missing_runs"] for row in tables["8"]] == [55, 0]
    result = tfew("table", "all", "--store", str(store.folder))
    assert result.out.count("\nTable 9: ") == 1
    made = {path.stem for path in store.folder.parent.glob("table*.md")}
    assert made == {"table1", "table8", "table9", "table10"}


def test_replacements_are_passed_on(tfew: Tfew, grid: experiments.grid.Grid, tmp_path: Path) -> None:
    result = tfew("table", "1", "--store", str(tmp_path / "none"), "--backbone", "t0-3b", "--data", "hub", "--json")
    assert "121 of 121 runs are missing" in result.err
    assert "make them with: tfew grid table1 --backbone t0-3b --data hub --store" in result.err
    assert {row["backbone"] for row in json.loads(result.out)[:3]} == {"t0-3b", "t5-lm-xl"}


def test_a_grid_file_is_a_table_without_the_paper(tfew: Tfew, store: RunStore, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "{name: m, description: d, variants: [{name: Mine, method: ia3, sweep: {task: all, seed: [0, 1]}}]}"
    )
    arguments = ("table", str(file), "--store", str(store.folder))
    (row,) = json.loads(tfew(*arguments, "--json").out)
    assert (row["method"], row["runs"], row["missing_runs"], row["paper_accuracy"]) == ("Mine", 22, 0, None)
    before = sorted(store.folder.parent.iterdir())
    shown = tfew(*arguments)
    assert shown.out.startswith("Accuracy of the grid mine\n")
    assert sorted(store.folder.parent.iterdir()) == before, "nothing takes the place of other files"
    tfew(*arguments, "--out", str(tmp_path / "out"))
    endings = ("csv", "html", "md", "tex")
    expected = sorted([*(f"mine.{ending}" for ending in endings), "mine_tasks.csv"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == expected


def test_a_shipped_grid_is_its_table(tfew: Tfew, store: RunStore) -> None:
    flags = ("--store", str(store.folder), "--json")
    assert tfew("table", "table1", *flags) == tfew("table", "1", *flags)


def test_unknown_table(tfew: Tfew) -> None:
    there = ", ".join(map(str, sorted(experiments.tables.catalog.TABLES)))
    assert tfew("table", "12") == (
        2,
        "",
        f"tfew: there is no table 12 here; there are {there}, and those of grid files\n",
    )


def test_an_unwritable_folder_is_one_line(tfew: Tfew, store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = tfew("table", "1", "--store", str(store.folder), "--out", str(tmp_path / "file"))
    assert result.code == 2
    assert result.err.startswith(f"tfew: cannot write {tmp_path / 'file' / 'table1.md'}: ")


def test_files_of_other_backbones_and_stores_stand_apart() -> None:
    assert Selection().folder == Path("results/pocket")
    assert Selection(replaced=Replaced(initial=Path("a b"))).flags == " --initial 'a b'"
    assert Selection(replaced=Replaced("t0-3b", "hub", "bf16")).folder == Path("results/t0-3b-hub-bf16")
    assert Selection(replaced=Replaced("google/t5-small")).folder == Path("results/google-t5-small")
    assert Selection(Path("a/records"), Replaced("t0")).folder == Path("a")
