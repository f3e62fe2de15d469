"""`tfew data`: the real datasets on this machine."""

from typing import Annotated, Any

import typer

from experiments.output import JSON, Column, show_json, show_table

app = typer.Typer(
    help="Fetch the real datasets, to work without a network.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

_COLUMNS = (
    Column("task", "task"),
    Column("dataset", "dataset"),
    Column("revision", "commit", show=lambda revision: revision if "/" in revision else revision[:7]),
    Column("train", "training", "right", "{:,}".format),
    Column("evaluation", "evaluation", "right", "{:,}".format),
    Column("note", "note"),
)


@app.callback()
def data() -> None:
    """Keeps `fetch` a subcommand of its own."""


@app.command()
def fetch(
    tasks: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="All of them if left out.")] = None,
    json: JSON = False,
) -> None:
    """Download the datasets of tasks, check their fields, and count their examples.

    They stay in the hub client's cache: with HF_HUB_OFFLINE=1 runs then need no network.

    Examples:
        tfew data fetch
        tfew data fetch rte cb --json
    """
    from tfew_pl.tasks import RAFT_TASKS, TASKS, get_task

    chosen = [get_task(name) for name in tasks or (*TASKS, *RAFT_TASKS)]
    rows = [_fetched(task, by_hand_fails=bool(tasks)) for task in chosen]
    if json:
        show_json(rows)
    else:
        show_table(rows, _COLUMNS)


def _fetched(task: Any, by_hand_fails: bool) -> dict[str, Any]:
    from tfew_pl.spec import HUB
    from tfew_pl.tasks.data import load_data

    source = task.hub
    name = f"{source.id} ({source.config})" if source.config else source.id
    row = {"task": task.name, "dataset": name, "revision": source.revision, "train": None, "evaluation": None}
    if source.by_hand and not by_hand_fails:
        return row | {"note": source.by_hand}
    loaded = load_data(task.name, HUB)
    return row | {"train": len(loaded.train), "evaluation": len(loaded.evaluation), "note": None}
