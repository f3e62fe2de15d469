"""`tfew claims`: the paper's claims, held against our records."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from experiments.flags import Backbone, Data, Initial, Precision, Store
from experiments.output import JSON, Column, show_json, show_table, write_file

_COLUMNS = (
    Column("section", "section"),
    Column("claim", "claim of the paper"),
    Column("status", "by our records"),
    Column("why", "why"),
)


def command(
    store: Store = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the page; results/pocket unless something was replaced.")
    ] = None,
    json: JSON = False,
) -> None:
    """Say for each claim of the paper whether our finished runs support it, and why.

    They speak of the backbones and tasks that were run, not of the paper's. A claim of accuracy is supported if the
    95 % bootstrap interval of the difference lies above zero. The page that says so, and what the runs cannot show,
    is written as README.md beside the tables, or as claims.md if another README.md is there; with --json only if --out
    is given.

    Examples:
        tfew claims
        tfew claims --json
    """
    from experiments.claims import CONTROL, GRIDS, Evidence, verdicts
    from experiments.finished import Selection, find_finished, progress
    from experiments.replacements import Replaced
    from experiments.results_page import results_page
    from experiments.tables.catalog import TABLES

    selection = Selection(store, Replaced(backbone, data, precision, initial))
    runs = {grid: find_finished(grid, selection) for grid in (*GRIDS, CONTROL)}
    evidence = Evidence.of(runs)
    found = verdicts(evidence)
    rows = [dataclasses.asdict(verdict) for verdict in found]
    if json:
        show_json(rows)
    else:
        show_table(rows, _COLUMNS)
    if any(evidence.records.values()) and (out is not None or not json):
        grids = dict.fromkeys([*(table.grid for table in TABLES.values()), *runs])
        folder = out or selection.folder
        files = {file.name for file in folder.glob("*")}
        page = results_page(found, evidence, [progress(grid, selection) for grid in grids], files)
        path = _place(folder, page)
        write_file(path, page.encode())
        typer.echo(f"Wrote {path}", err=True)


def _place(folder: Path, page: str) -> Path:
    """Where the page goes: to README.md, unless there is one of something else."""
    path = folder / "README.md"
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            taken = file.readline().strip() != page.split("\n", 1)[0]
    except OSError:  # there is none, or what is wrong is said when it is written
        taken = False
    return folder / "claims.md" if taken else path
