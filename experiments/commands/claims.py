"""`tfew claims`: the paper's claims, held against our records."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from experiments.output import JSON, Column, show_json, show_table

_COLUMNS = (
    Column("section", "section"),
    Column("claim", "claim of the paper"),
    Column("status", "by our records"),
    Column("why", "why"),
)


def command(
    store: Annotated[Path | None, typer.Option(help="Folder of the records, if not the grids' own.")] = None,
    json: JSON = False,
) -> None:
    """Say for each claim of the paper whether our finished runs support it, and why.

    They speak of the backbones and tasks that were run, not of the paper's. A claim of accuracy is supported if the
    95 % bootstrap interval of the difference lies above zero.

    Examples:
        tfew claims
        tfew claims --json
    """
    from experiments.claims import GRIDS, verdicts
    from experiments.finished import Selection, find_finished

    records = {grid: find_finished(grid, Selection(store=store)).records() for grid in GRIDS}
    found = [dataclasses.asdict(verdict) for verdict in verdicts(records)]
    if json:
        show_json(found)
    else:
        show_table(found, _COLUMNS)
