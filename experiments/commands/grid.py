"""`tfew grid`: every run of a grid that has no record yet."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    file: Annotated[str, typer.Argument(help="A grid file, or the name of one that ships with the package: table1.")],
    backbone: Annotated[
        str | None,
        typer.Option(help="Replaces the grid's default backbone; the grid says what becomes of others."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "--data-root", help="Replaces the grid's default data: pocket, hub or a folder."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the records; the grid's own if left out.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Worker processes; one a GPU if left out, or one a processor without GPU.", min=1),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of a worker; 1 without GPU if left out. Numbers depend on it.", min=1),
    ] = None,
) -> None:
    """Run what a grid asks for and the store does not have.

    A finished run is never run again; to go on after an interruption, give the same command.

    Examples:
        tfew grid experiments/grids/table1.yaml
        tfew grid control --workers 2
        tfew grid my-grid.yaml --store /shared/results
    """
    from experiments.display import choose_display, duration
    from experiments.grid import find_grid, load_grid
    from experiments.job import RunAndSave
    from experiments.output import console
    from experiments.placement import placement
    from experiments.runner import LOGS, do_runs, missing, prepare
    from experiments.workers import LocalWorkers
    from tfew_pl.store import RunStore

    out = console()

    def say(text: str) -> None:
        out.print(text, soft_wrap=True)

    grid = load_grid(find_grid(file), backbone=backbone, data=data)
    records = RunStore(store or grid.store)
    runs = missing(grid.runs, records)
    there = f"{len(grid.runs) - len(runs)} of {len(grid.runs)} runs are in {records.folder}"
    say(f"{grid.name}: {grid.description}")
    if not runs:
        say(f"all {len(grid.runs)} runs are in {records.folder}: nothing to do")
        return
    prepare(records)
    place = placement(workers, threads, len(runs))
    say(f"{there}; {len(runs)} to do {place.summary}")
    job = RunAndSave(records.folder, place.threads)
    launcher = LocalWorkers(job, place.environments, records.folder / LOGS)
    try:
        with choose_display(runs, len(place.environments)) as display:
            summary = do_runs(runs, records, launcher, display)
    except KeyboardInterrupt:
        done = len(grid.runs) - len(missing(grid.runs, records))
        say(
            f"interrupted: {done} of {len(grid.runs)} runs are in {records.folder}; the same command goes on from there"
        )
        raise typer.Exit(130) from None
    say(f"{summary.finished} runs finished in {duration(summary.seconds)}: {records.folder}")
    if summary.failures:
        say(f"{len(summary.failures)} failed:")
        for failure in summary.failures:
            say(f"  {failure.run.variant}: {failure.run.spec.label()}")
            say(f"    {failure.reason}")
            say(f"    {failure.log}")
        raise typer.Exit(1)
