"""`tfew table`: the paper's tables from finished runs, and that of a grid of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from experiments.flags import Backbone, Data, Initial, Precision, Store
from experiments.output import JSON, console, show_json, write_file
from tfew_pl.errors import UserError

if TYPE_CHECKING:
    from experiments.finished import Finished
    from experiments.tables.block import Document
    from experiments.tables.catalog import Definition, Table

Format = Literal["text", "markdown", "csv", "latex", "html"]
ALL = "all"


def definition(number: int | str) -> "Definition":
    """How the table of that number, or of that grid, is made.

    Raises:
        UserError: there is none.
    """
    from experiments.grid import find_grid
    from experiments.tables.catalog import TABLES, of_grid

    made = {str(number): table for number, table in TABLES.items()}.get(str(number))
    if made is not None:
        return made
    try:
        find_grid(str(number))
    except UserError as error:
        there = ", ".join(map(str, sorted(TABLES)))
        raise UserError(f"there is no table {number} here; there are {there}, and those of grid files") from error
    of_paper = (table for table in TABLES.values() if table.grid == number)
    return next(of_paper, None) or of_grid(str(number))


def command(
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="Of the table in the paper, 1 to 11; or all; or a grid file.")
    ],
    store: Store = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files; results/pocket unless something was replaced."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="What is printed.")] = "text",
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Print instead the grids of which runs are missing; for all, the control's, too."
        ),
    ] = False,
    json: JSON = False,
) -> None:
    """Make a table of the paper, ours beside the published numbers, from finished runs.

    Cells whose runs are missing say so. Files in every format are written beside what is printed, and the figure
    where the paper draws one of the same runs; with --json only if --out is given. Of a grid file, a row is a variant,
    compared with the first one; its table's files are written only if --out is given.

    Examples:
        tfew table 1
        tfew table 4 --json
        tfew table 4 --format latex
        tfew table 1 --backbone t0-3b --data hub
        tfew table all
        tfew table my-grid.yaml
    """
    from experiments.claims import CONTROL
    from experiments.finished import Selection, find_finished, progress
    from experiments.replacements import Replaced
    from experiments.tables.block import to_csv
    from experiments.tables.catalog import TABLES

    _check(number, form, unfinished=unfinished, out=out, json=json)
    definitions = {str(n): made for n, made in TABLES.items()} if number == ALL else {number: definition(number)}
    selection = Selection(store, Replaced(backbone, data, precision, initial))
    if unfinished:
        names = [made.grid for made in definitions.values()] + [CONTROL] * (number == ALL)
        found = [progress(name, selection) for name in dict.fromkeys(names)]
        grids = [grid.grid for grid in found if grid.found < grid.asked]
        show_json(grids) if json else typer.echo("".join(f"{name}\n" for name in grids), nl=False)
        return
    shown: dict[str, Any] = {}
    documents = []
    for key, made in definitions.items():
        runs = find_finished(made.grid, selection)
        runs.warn()
        table = made.build(runs.variants)
        if json:
            shown[key] = _with_tasks(table)
        elif form == "csv":
            typer.echo(to_csv(table.values()), nl=False)
        else:
            documents.append(made.document(table, runs.command))
        if runs.found and (out is not None or not (json or made.number is None)):
            files = _write(made, table, runs, out or selection.folder)
            typer.echo(f"Wrote {', '.join(map(str, files))}", err=True)
    if json:
        show_json(shown if number == ALL else shown[number])
    elif form != "csv":
        typer.echo(_formatted(form, *documents), nl=False)


def _with_tasks(table: "Table") -> list[dict[str, Any]]:
    """The rows, each with its tasks."""
    tasks = table.task_values()
    return [{**row, "tasks": [task for task in tasks if task["method"] == row["method"]]} for row in table.values()]


def _check(number: str, form: Format, *, unfinished: bool, out: Path | None, json: bool) -> None:
    """Refuses options that contradict each other.

    Raises:
        UserError: one of them would have no effect.
    """
    if json and form != "text":
        raise UserError(f"--json and --format {form} exclude each other: give one of them")
    if unfinished and (form != "text" or out is not None):
        raise UserError("--unfinished prints names of grids: it goes without --format and --out")
    if number == ALL and form == "csv":
        raise UserError("all tables have no columns in common: give --format csv with one of them, or --out FOLDER")


def _formatted(form: Literal["text", "markdown", "latex", "html"], *documents: "Document") -> str:
    from experiments.tables.block import markdown, text
    from experiments.tables.html import html
    from experiments.tables.latex import latex

    match form:
        case "text":
            return text(console(), *documents)
        case "markdown":
            return markdown(*documents)
        case "latex":
            return latex(*documents)
        case "html":
            return html(*documents)


def _write(made: "Definition", table: "Table", runs: "Finished", folder: Path) -> list[Path]:
    """Writes a table as Markdown, LaTeX, HTML and CSV, and its figure if it has one; returns the files.

    Raises:
        UserError: one of them cannot be written.
    """
    from experiments.figures.catalog import FIGURES, write_figure
    from experiments.tables.block import to_csv

    name = Path(made.grid).stem if made.number is None else f"table{made.number}"
    content = made.document(table, runs.command)
    texts = {
        f"{name}.md": _formatted("markdown", content),
        f"{name}.tex": _formatted("latex", content),
        f"{name}.html": _formatted("html", content),
        f"{name}.csv": to_csv(table.values()),
        f"{name}_tasks.csv": to_csv(table.task_values()),
    }
    for file, written in texts.items():
        write_file(folder / file, written.encode())
    files = [folder / file for file in texts]
    for figure in FIGURES.values():
        if figure.table == made.number:
            files += write_figure(figure, table, folder)
    return files
