"""`tfew figure`: the paper's figures from finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.flags import Backbone, Data, Initial, Precision, Store
from experiments.output import JSON, show_json
from tfew_pl.errors import UserError


def command(
    number: Annotated[int, typer.Argument(help="Of the figure in the paper: 2 or 3.")],
    store: Store = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files; results/pocket unless something was replaced."),
    ] = None,
    json: JSON = False,
) -> None:
    """Draw a figure of the paper, ours beside the published points, from finished runs.

    Figure 2 is accuracy against parameters (the runs of Table 4), Figure 3 against inference FLOPs (those of
    Table 1). With --json the points are printed, and files are written only if --out is given.

    Examples:
        tfew figure 2
        tfew figure 3 --out figures
        tfew figure 3 --json
    """
    from experiments.commands.table import definition
    from experiments.figures.catalog import FIGURES, write_figure
    from experiments.finished import Selection, find_finished
    from experiments.replacements import Replaced

    if number not in FIGURES:
        raise UserError(f"there is no figure {number} here; there are {', '.join(map(str, FIGURES))}")
    figure = FIGURES[number]
    made = definition(figure.table)
    selection = Selection(store, Replaced(backbone, data, precision, initial))
    runs = find_finished(made.grid, selection)
    runs.warn()
    table = made.build(runs.variants)
    if json:
        show_json(figure.values(table))
    if runs.found and (out is not None or not json):
        files = write_figure(figure, table, out or selection.folder)
        typer.echo(f"Wrote {', '.join(map(str, files))}", err=True)
