"""`tfew raft`: the eleven RAFT tasks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from experiments.output import JSON, Column, show_json, show_table

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord
    from tfew_pl.spec import RunSpec

app = typer.Typer(
    help="RAFT: eleven real tasks with 50 training examples each, and an unlabeled test set.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

Task = Annotated[list[str] | None, typer.Option(help="One of the tasks; may be repeated. All if left out.")]
Variant = Annotated[
    Literal["paper", "release"],
    typer.Option(help="Where they differ: the paper's text, or the released code with its recipe."),
]
LeaveOut = Annotated[
    bool,
    typer.Option("--leave-out", help="Leave fifths of the 50 examples out of the training, and measure on those."),
]
Method = Annotated[str | None, typer.Option(help="One of `tfew methods`; ia3 if left out.")]
Backbone = Annotated[str | None, typer.Option(help="One of `tfew backbones`, a hub id or a folder.")]
Data = Annotated[str | None, typer.Option(help="pocket, hub, or a folder of the hub's files; pocket if left out.")]
Precision = Annotated[str | None, typer.Option(help="fp32, bf16, int8 or nf4; fp32 if left out.")]
Initial = Annotated[
    str | None,
    typer.Option(help="File of pre-trained (IA)3 vectors to start from; those known for the backbone if left out."),
]
Without = Annotated[list[str] | None, typer.Option(help="Take an ingredient out of the recipe, as for `tfew run`.")]
Seed = Annotated[int | None, typer.Option(help="Of the training; 42 if left out.")]
Steps = Annotated[int | None, typer.Option(help="Training steps; the recipe's if left out.")]
Settings = Annotated[
    Path | None, typer.Option(help="RAFT's official prompt settings (JSONL), in place of our instructions.")
]
Store = Annotated[Path | None, typer.Option(help="Folder of the records; results/runs if left out.")]

_COLUMNS = (
    Column("task", "task"),
    Column("examples", "examples", "right"),
    Column("accuracy", "accuracy", "right", lambda value: f"{value:.1f}"),
    Column("macro_f1", "macro F1", "right", lambda value: f"{value:.1f}"),
)


@app.command()
def run(
    task: Task = None,
    variant: Variant = "paper",
    leave_out: LeaveOut = False,
    method: Method = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    without: Without = None,
    seed: Seed = None,
    steps: Steps = None,
    settings: Settings = None,
    store: Store = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes, as for `tfew grid`.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of a worker, as for `tfew grid`.", min=1)] = None,
) -> None:
    """Do the runs that have no record yet, and show what was found.

    The real test set has no labels: use --leave-out to measure, and `tfew raft submit` to hand in.

    Examples:
        tfew raft run
        tfew raft run --leave-out --task overruling --task ade_corpus_v2
        tfew raft run --data hub --backbone t0-3b --initial t03b_ia3.safetensors --variant release
        tfew raft run --method setfit
    """
    from experiments.commands.grid import run_grid
    from experiments.grid import DEFAULT_STORE, Grid, GridRun
    from experiments.launchers.choose import How
    from experiments.requirements import lacking
    from experiments.runner import missing
    from tfew_pl.errors import UserError
    from tfew_pl.store import RunStore

    specs = _specs(
        task, leave_out, _Fields(variant, method, backbone, data, precision, initial, without, seed, steps, settings)
    )
    folder = store or DEFAULT_STORE
    kind = "with a fifth of the training examples left out at a time" if leave_out else "on the test sets"
    grid = Grid("raft", f"RAFT, {kind}", folder, tuple(GridRun(spec.method, spec) for spec in specs))
    for reason in lacking(missing(grid.runs, RunStore(folder))):
        raise UserError(reason)
    run_grid(grid, RunStore(folder), How(workers=workers, threads=threads))
    _show(_records(specs, folder), json=False)


@app.command()
def results(
    task: Task = None,
    variant: Variant = "paper",
    leave_out: LeaveOut = False,
    method: Method = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    without: Without = None,
    seed: Seed = None,
    steps: Steps = None,
    settings: Settings = None,
    store: Store = None,
    json: JSON = False,
) -> None:
    """Show what finished runs found.

    Examples:
        tfew raft results
        tfew raft results --leave-out --json
    """
    specs = _specs(
        task, leave_out, _Fields(variant, method, backbone, data, precision, initial, without, seed, steps, settings)
    )
    _show(_records(specs, store), json=json)


@app.command()
def submit(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    variant: Variant = "paper",
    method: Method = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    without: Without = None,
    seed: Seed = None,
    steps: Steps = None,
    settings: Settings = None,
    store: Store = None,
) -> None:
    """Write the predictions that are handed in to the leaderboard, from the finished runs of all tasks.

    The leaderboard asks for a copy of its template, the repository ought/raft-submission; copy the folder `data` over
    that of the copy.

    Example:
        tfew raft submit --data hub --backbone t0-3b --initial t03b_ia3.safetensors --out submission
    """
    from experiments.raft.submission import write_submission

    specs = _specs(
        None, False, _Fields(variant, method, backbone, data, precision, initial, without, seed, steps, settings)
    )
    write_submission(_records(specs, store), out)
    typer.echo(str(out))


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="With data/TASK/predictions.csv for every task.")],
    data: Annotated[
        str, typer.Option(help="pocket for the generated data, hub for the real test sets, or a folder of the hub's.")
    ] = "pocket",
) -> None:
    """Check a folder before it is handed in: its files, their columns, ids, labels and numbers of rows.

    Examples:
        tfew raft validate submission
        tfew raft validate submission --data hub
    """
    from experiments.raft import submission

    tasks = submission.validate(folder, data)
    rows = sum(len(task.ids) for task in tasks.values())
    typer.echo(f"{folder}: valid, {len(tasks)} tasks, {rows:,} predictions")


class _Fields(NamedTuple):
    """What the options say of a run."""

    variant: str
    method: str | None
    backbone: str | None
    data: str | None
    precision: str | None
    initial: str | None
    without: list[str] | None
    seed: int | None
    steps: int | None
    settings: Path | None

    def by_path(self) -> dict[str, Any]:
        """The fields of a spec that are given; a default is left unsaid."""
        fields: dict[str, Any] = {
            "method": self.method,
            "backbone": self.backbone,
            "data": self.data,
            "precision": self.precision,
            "initial": self.initial,
            "without": self.without or None,
            "seed": self.seed,
            "recipe.steps": self.steps,
            "task_options.variant": None if self.variant == "paper" else self.variant,
            "task_options.settings": None if self.settings is None else str(self.settings),
        }
        return {path: value for path, value in fields.items() if value is not None}


def _specs(task: list[str] | None, leave_out: bool, fields: _Fields) -> "list[RunSpec]":
    from experiments.raft.runs import raft_specs

    return raft_specs(task or [], fields.by_path(), leave_out=leave_out)


def _records(specs: "list[RunSpec]", store: Path | None) -> "list[RunRecord]":
    from experiments.grid import DEFAULT_STORE
    from tfew_pl.errors import UserError
    from tfew_pl.store import RunStore

    records = RunStore(store or DEFAULT_STORE)
    missing = [spec for spec in specs if spec not in records]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(specs)} runs are missing in {records.folder}, the first of them "
            f"{missing[0].label()}; make them with `tfew raft run` and the same options"
        )
    return [records.load(spec) for spec in specs]


def _show(records: "list[RunRecord]", *, json: bool) -> None:
    import dataclasses

    from experiments.raft.results import average, raft_results

    found = raft_results(records)
    mean = average(found) if len(found) > 1 else None
    rows = [dataclasses.asdict(result) for result in [*found, *([] if mean is None else [mean])]]
    for row in rows:
        row |= {key: None if row[key] is None else 100 * row[key] for key in ("accuracy", "macro_f1")}
    if json:
        show_json(rows)
    else:
        show_table(rows, _COLUMNS)
