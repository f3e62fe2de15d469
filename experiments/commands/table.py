"""`tfew table`: the paper's tables from finished runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from experiments.output import JSON, console, show_json
from tfew_pl.errors import UserError

if TYPE_CHECKING:
    from experiments.tables.table1 import Table1


TABLES = (1,)
"""Tables of the paper that can be made."""


def read(name: str, store: Path | None, backbone: str | None, data: str | None) -> "Table1":
    """The table of the finished runs of a grid that ships with the package.

    Raises:
        UserError: runs are missing; the message names the command that makes them.
    """
    from experiments.grid import find_grid, load_grid
    from experiments.tables.table1 import table1
    from tfew_pl.store import RunStore

    grid = load_grid(find_grid(name), backbone=backbone, data=data)
    records = RunStore(store or grid.store)
    missing = [run for run in grid.runs if run.spec not in records]
    if missing:
        flags = {"--backbone": backbone, "--data": data, "--store": store}
        words = [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]
        command = " ".join(["tfew grid", name, *words])
        raise UserError(
            f"{len(missing)} of {len(grid.runs)} runs are missing in {records.folder}, the first of them "
            f"{missing[0].spec.label()}; make them with: {command}"
        )
    return table1({name: [records.load(spec) for spec in specs] for name, specs in grid.variants().items()})


def write(table: "Table1", folder: Path) -> list[Path]:
    """Writes the table as CSV and Markdown, and the figure; returns the files.

    Raises:
        UserError: the folder cannot be written.
    """
    from experiments.figures import table1 as figure
    from experiments.figures.style import save
    from experiments.tables.block import markdown, to_csv
    from experiments.tables.table1_document import document

    texts = {
        "table1.md": markdown(document(table)),
        "table1.csv": to_csv(table.values()),
        "table1_tasks.csv": to_csv(table.task_values()),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in texts.items():
            (folder / name).write_text(content, encoding="utf-8")
        drawn = save(figure.draw(table), folder / "table1", figure.TITLE)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
    return [*(folder / name for name in texts), *drawn]


def default_folder(store: Path | None, backbone: str | None, data: str | None) -> Path:
    """Where the files go: beside a store of one's own, so that nothing takes the place of other results."""
    if store is not None:
        return store.parent
    replaced = [value.strip("./").replace("/", "-") for value in (backbone, data) if value is not None]
    return Path("results") / ("-".join(replaced) or "pocket")


def command(
    number: Annotated[int, typer.Argument(help="Of the table in the paper: 1.")],
    store: Annotated[Path | None, typer.Option(help="Folder of the records, if not the grid's own.")] = None,
    backbone: Annotated[str | None, typer.Option(help="In place of the grid's backbone.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", "--data-root", help="In place of the grid's data: pocket, hub or a folder.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files; results/pocket unless something was replaced."),
    ] = None,
    form: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="What is printed.")] = "text",
    json: JSON = False,
) -> None:
    """Make a table of the paper, and its figure, from finished runs.

    Files are written beside what is printed; with --json only if --out is given.

    Examples:
        tfew table 1
        tfew table 1 --json
        tfew table 1 --format markdown
        tfew table 1 --backbone t0-3b --data hub
    """
    from experiments.tables.block import markdown, text, to_csv
    from experiments.tables.table1_document import document

    if number not in TABLES:
        raise UserError(f"there is no table {number} here; there is table {', '.join(map(str, TABLES))}")
    table = read(f"table{number}", store, backbone, data)
    if json:
        show_json(table.values())
    elif form == "csv":
        typer.echo(to_csv(table.values()), nl=False)
    else:
        content = document(table)
        typer.echo(markdown(content) if form == "markdown" else text(content, console()), nl=False)
    if out is None and not json:
        out = default_folder(store, backbone, data)
    if out is not None:
        files = write(table, out)
        typer.echo(f"Wrote {', '.join(map(str, files))}", err=True)
