"""`tfew leaderboard`: every finished run on one page, and other people's beside ours."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.output import JSON, show_json, write_file

app = typer.Typer(
    help="Build the leaderboard, one static page, and add other people's records to it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

_FOLDER = Path("results/leaderboard")
_STORE = Path("results/pocket/records")
Store = Annotated[Path, typer.Option(help="Folder of our records.")]
Submissions = Annotated[Path, typer.Option(help="Folder of other people's records.")]


@app.command()
def build(
    store: Store = _STORE,
    submissions: Submissions = _FOLDER / "submissions",
    out: Annotated[Path, typer.Option(help="File to write.", dir_okay=False)] = _FOLDER / "index.html",
    json: JSON = False,
) -> None:
    """Build the page from finished runs; with --json, print its rows instead.

    Examples:
        tfew leaderboard build
        tfew leaderboard build --json
    """
    from experiments.leaderboard.board import OURS, board
    from experiments.leaderboard.page import page
    from experiments.leaderboard.submission import submissions as stores_of
    from tfew_pl.store import RunStore

    stores = {OURS: RunStore(store), **stores_of(submissions)}
    content = board({source: found.records() for source, found in stores.items()})
    if json:
        show_json(content.values())
        return
    text = page(content)
    write_file(out, text.encode())
    rows = len(content.values())
    typer.echo(f"Wrote {out}: {rows} row{'s' * (rows != 1)}", err=True)


@app.command()
def submit(
    folder: Annotated[Path, typer.Argument(help="Records, as `tfew grid --store` writes them.")],
    name: Annotated[str, typer.Option(help="Who made them, as the page shows it; the folder's name if left out.")] = "",
    store: Store = _STORE,
    submissions: Submissions = _FOLDER / "submissions",
) -> None:
    """Add somebody else's records after checking schema, completeness and digests.

    A method needs every task and every official seed, on the data that the other records were made on. Accuracies are
    recomputed from the predictions; the correct choices are compared with the data's, or, where that is not at hand,
    with those of the other records. Trained parameters are not kept.

    Example:
        tfew leaderboard submit records/ --name "Our lab"
    """
    from experiments.leaderboard.submission import submit as add
    from tfew_pl.store import RunStore

    target, count = add(folder, name or folder.resolve().name, submissions, RunStore(store))
    typer.echo(f"Added {count} records as {target}; show them with: tfew leaderboard build", err=True)
