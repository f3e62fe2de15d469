"""`tfew grid`: every run of a grid that has no record yet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.flags import HOW, Compile, MatmulPrecision
from experiments.gpus import MODEL_FLOPS_UTILIZATION
from tfew_pl.errors import UserError

if TYPE_CHECKING:
    from experiments.grid import Grid
    from experiments.launchers.choose import How
    from experiments.runner import Summary
    from tfew_pl.store import RunStore

_WHAT = "What to run"
_PLAN = "Dry run"
_GPU = "a100"


def command(
    file: Annotated[str, typer.Argument(help="A grid file, or the name of one that ships with the package: table1.")],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Replaces the grid's default backbone; the grid says what becomes of others.", rich_help_panel=_WHAT
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "--data-root",
            help="Replaces the grid's default data: pocket, hub or a folder.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Replaces the grid's default precision: fp32, bf16, int8 or nf4.", rich_help_panel=_WHAT),
    ] = None,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="File of (IA)3 vectors pre-trained on the backbone, for the runs that start from such.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the records; the grid's own if left out.", rich_help_panel=_WHAT)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Worker processes; one a GPU if left out, or one a processor without GPU.",
            min=1,
            rich_help_panel=HOW,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads of a worker; 1 without GPU if left out. Numbers depend on it.", min=1, rich_help_panel=HOW
        ),
    ] = None,
    matmul_precision: MatmulPrecision = "auto",
    compiled: Compile = False,
    launcher: Annotated[
        str,
        typer.Option(
            help="local; or runners on a Ray cluster (ray) or as an array of Slurm jobs (slurm), --workers of them.",
            rich_help_panel=HOW,
        ),
    ] = "local",
    launcher_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="gpus (of a runner, 1 or 0); Ray's address; submitit's for Slurm: slurm_partition, timeout_min, …",
            rich_help_panel=HOW,
        ),
    ] = None,
    slots: Annotated[
        int,
        typer.Option(
            help="Most runs that are trained together; 1 for each alone. It changes the rounding.",
            min=1,
            rich_help_panel=HOW,
        ),
    ] = 8,
    retries: Annotated[
        int,
        typer.Option(help="How often a run is done again whose process died.", min=0, rich_help_panel=HOW),
    ] = 2,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            help="Steps after which a training's state is kept, to go on from there if it is killed; 0 for never.",
            min=0,
            rich_help_panel=HOW,
        ),
    ] = 100,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Log every run with tensorboard, wandb or mlflow, under the store's folder; may be repeated.",
            rich_help_panel=HOW,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Run nothing: list the runs, what they cost, and which are done.", rich_help_panel=_PLAN
        ),
    ] = False,
    gpu: Annotated[
        str | None,
        typer.Option(help="For which costs are estimated: a100, h100 or l4.", show_default=_GPU, rich_help_panel=_PLAN),
    ] = None,
    utilization: Annotated[
        float | None,
        typer.Option(
            help="Share of the GPU's peak that is reached.",
            min=0.0001,
            max=1,
            show_default=f"{MODEL_FLOPS_UTILIZATION:.3f}",
            rich_help_panel=_PLAN,
        ),
    ] = None,
    dollars_per_hour: Annotated[
        float | None, typer.Option(help="Of the GPU, in place of the price that is known.", rich_help_panel=_PLAN)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the dry run as JSON.", rich_help_panel=_PLAN)] = False,
) -> None:
    """Run what a grid asks for and the store does not have.

    A finished run is never run again; to go on after an interruption, give the same command. Several of them may
    share a store, on machines that share its folder: each run is done by one.

    Examples:
        tfew grid experiments/grids/table1.yaml
        tfew grid control --workers 2
        tfew grid my-grid.yaml --store /shared/results
        tfew grid my-grid.yaml --launcher slurm --workers 16 --launcher-option slurm_partition=gpu
        tfew grid my-grid.yaml --logger tensorboard
        tfew grid table1 --dry-run
        tfew grid table1 --backbone t0-3b --initial t03b_ia3.safetensors --dry-run --gpu h100 --json
    """
    from experiments.grid import find_grid, load_grid
    from experiments.launchers.choose import How
    from experiments.replacements import Replaced
    from tfew_pl.store import RunStore

    grid = load_grid(find_grid(file), replaced=Replaced(backbone, data, precision, initial))
    for remark in grid.remarks:
        typer.echo(f"tfew: {remark}", err=True)
    records = RunStore(store or grid.store)
    if dry_run:
        from experiments.gpus import choose_gpu
        from experiments.plan_report import show_plan

        chosen = choose_gpu(gpu or _GPU, dollars_per_hour)
        show_plan(grid, records, chosen, utilization or MODEL_FLOPS_UTILIZATION, json)
        return
    for flag, given in (
        ("--json", json),
        ("--gpu", gpu is not None),
        ("--utilization", utilization is not None),
        ("--dollars-per-hour", dollars_per_hour is not None),
    ):
        if given:
            raise UserError(f"{flag} goes with --dry-run")
    how = How(
        launcher=launcher,
        options=tuple(launcher_option or ()),
        workers=workers,
        threads=threads,
        slots=slots,
        retries=retries,
        checkpoint_every=checkpoint_every,
        loggers=tuple(dict.fromkeys(logger or ())),
        matmul_precision=matmul_precision,
        compiled=compiled,
    )
    run_grid(grid, records, how)


def run_grid(grid: "Grid", records: "RunStore", how: "How") -> None:
    """Does the runs of a grid that have no record, and says how it goes.

    Runs that need a package which is not installed are left out.

    Raises:
        typer.Exit: with code 1 where runs failed, with 130 where it was interrupted.
        UnwritableStoreError: the store takes no more records.
    """
    from experiments.display import choose_display
    from experiments.groups import form_groups
    from experiments.launchers.choose import choose_launcher
    from experiments.launchers.launcher import LauncherError
    from experiments.output import console
    from experiments.requirements import lacking
    from experiments.runner import do_runs, missing, prepare
    from experiments.signals import interrupted_by_termination

    out = console()

    def say(text: str) -> None:
        out.print(text, soft_wrap=True)

    runs = missing(grid.runs, records)
    say(f"{grid.name}: {grid.description}")
    if not runs:
        say(f"all {len(grid.runs)} runs are in {records.folder}: nothing to do; another --store computes them anew")
        return
    impossible = lacking(runs)
    for reason, left_out in impossible.items():
        say(f"left out, {len(left_out)} of {len(grid.runs)} runs: {reason}")
    wanted = [run for run in grid.runs if not any(run in left_out for left_out in impossible.values())]
    runs = missing(wanted, records)
    if not runs:
        return
    groups = form_groups(wanted, how.slots)
    digests = {run.spec.digest for run in runs}
    left = sum(any(run.spec.digest in digests for run in group) for group in groups)
    launcher, workers, summary_of_it = choose_launcher(how, groups, left, records, grid.keep_adaptations)
    prepare(records)
    say(
        f"{len(wanted) - len(runs)} of {len(grid.runs)} runs are in {records.folder}; {len(runs)} to do {summary_of_it}"
    )

    def done() -> str:
        return f"{len(grid.runs) - len(missing(grid.runs, records))} of {len(grid.runs)} runs are in {records.folder}"

    try:
        with interrupted_by_termination(), choose_display(runs, workers) as display:
            summary = do_runs(groups, records, launcher, display)
    except KeyboardInterrupt:
        say(f"interrupted: {done()}; the same command goes on from there")
        raise typer.Exit(130) from None
    except LauncherError as error:
        raise UserError(f"{error}; {done()}") from error
    for line in _outcome(summary, records):
        say(line)
    if summary.failures:
        raise typer.Exit(1)


def _outcome(summary: "Summary", records: "RunStore") -> list[str]:
    """What is said at the end."""
    from experiments.display import duration

    others = f", {summary.elsewhere} more by other runners" if summary.elsewhere else ""
    lines = [f"{summary.finished} runs finished in {duration(summary.seconds)}{others}: {records.folder}"]
    if summary.failures:
        lines.append(f"{len(summary.failures)} failed:")
        for failure in summary.failures:
            lines.append(f"  {failure.run.variant}: {failure.run.spec.label()}")
            lines.append(f"    {failure.reason}")
            lines.append(f"    {failure.log}")
    return lines
