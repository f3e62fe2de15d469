"""What `tfew grid --dry-run` shows: every run, how far it is, and what it will cost."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from experiments.display import duration, title
from experiments.estimates import Estimate, estimate, measured_lengths
from experiments.failures import Failures
from experiments.gpus import GPU
from experiments.grid import Grid, GridRun
from experiments.output import Column, show_json, show_table
from experiments.quantities import scientific
from tfew_pl.leases import holders
from tfew_pl.store import LEASES, RunStore

STATES = ("done", "running", "failed", "to do")
"""Of a run."""


@dataclass(frozen=True)
class Planned:
    """A run of the grid."""

    run: GridRun
    state: str
    """One of `STATES`."""
    note: str
    """Who runs it, or why it failed."""
    cost: Estimate | None
    """None where it cannot be known."""


def plan(grid: Grid, store: RunStore, gpu: GPU, utilization: float) -> list[Planned]:
    """Every run of the grid, in order.

    Args:
        grid: whose runs.
        store: in which their records are.
        gpu: for the estimates.
        utilization: share of the GPU's peak that is reached.
    """
    finished = store.digests()
    failures = Failures(store.folder)
    failed = set(failures.digests())
    running = holders(store.folder / LEASES)
    lengths = measured_lengths(store.read(run.spec.digest) for run in grid.runs if run.spec.digest in finished)

    def state(digest: str) -> tuple[str, str]:
        if digest in finished:
            return "done", ""
        if digest in running:
            return "running", str(running[digest])
        if digest in failed and (failure := failures.get(digest)):
            return "failed", failure.reason
        return "to do", ""

    price = gpu.price(utilization)
    return [Planned(run, *state(run.spec.digest), estimate(run.spec, price, lengths)) for run in grid.runs]


def show_plan(grid: Grid, store: RunStore, gpu: GPU, utilization: float, json: bool) -> None:
    """Prints the plan: a line a run, a line a variant, and the sums."""
    runs = plan(grid, store, gpu, utilization)
    if json:
        show_json(_as_object(grid, store, runs, gpu, utilization))
        return
    typer.echo(f"{grid.name}: {grid.description}\n")
    typer.echo("\n".join(_lines(runs)) + "\n")
    show_table([_sum(name, [p for p in runs if p.run.variant == name]) for name in grid.variants()], _COLUMNS)
    typer.echo(f"\n{sum(p.state == 'done' for p in runs)} of {len(runs)} runs are in {store.folder}")
    typer.echo(f"all runs: {_cost(_sum('all', runs))}")
    typer.echo(f"runs to do: {_cost(_sum('to do', [p for p in runs if p.state != 'done']))}")
    typer.echo(
        f"Estimated by the paper's formulas, for one {gpu.name} at {100 * utilization:.1f} % of its peak of "
        f"{gpu.peak_flops / 1e12:g} TFLOP/s ({gpu.peak_source}) and ${gpu.dollars_per_hour:.2f} an hour "
        f"({gpu.price_source})."
    )


def _lines(runs: Sequence[Planned]) -> Iterator[str]:
    """A line a run: thousands of them are aligned faster so than as a table."""
    for planned in runs:
        cost = planned.cost
        numbers = ("-", "-", "-") if cost is None else _numbers(cost.flops, cost.seconds, cost.dollars)
        note = f": {planned.note}" if planned.note else ""
        flops, time, dollars = numbers
        yield f"{planned.state:<7}  {flops:>7}  {time:>11}  {dollars:>9}  {title(planned.run)}{note}"


def _numbers(flops: float, seconds: float, dollars: float) -> tuple[str, str, str]:
    cents = f"${dollars:,.2f}" if dollars >= 0.005 or not dollars else "< $0.01"
    return scientific(flops), duration(seconds), cents


def _sum(name: str, runs: Sequence[Planned]) -> dict[str, Any]:
    """Of several runs; no cost where that of one of them is unknown."""
    known = [planned.cost for planned in runs if planned.cost is not None]
    whole = len(known) == len(runs)
    return {
        "variant": name,
        "runs": len(runs),
        **{state: sum(planned.state == state for planned in runs) for state in STATES},
        "flops": sum(cost.flops for cost in known) if whole else None,
        "seconds": sum(cost.seconds for cost in known) if whole else None,
        "dollars": sum(cost.dollars for cost in known) if whole else None,
    }


def _cost(total: Mapping[str, Any]) -> str:
    if total["flops"] is None:
        return "unknown, as is the size of a backbone before it is loaded"
    flops, time, dollars = _numbers(total["flops"], total["seconds"], total["dollars"])
    return f"{flops} FLOPs, {time}, {dollars}"


def _as_object(grid: Grid, store: RunStore, runs: Sequence[Planned], gpu: GPU, utilization: float) -> dict[str, Any]:
    return {
        "grid": grid.name,
        "store": str(store.folder),
        "gpu": dataclasses.asdict(gpu) | {"utilization": utilization},
        "all": _sum("all", runs),
        "to_do": _sum("to do", [planned for planned in runs if planned.state != "done"]),
        "runs": [
            {
                "digest": planned.run.spec.digest,
                "variant": planned.run.variant,
                "label": planned.run.spec.label(),
                "state": planned.state,
                "note": planned.note,
                **({} if planned.cost is None else dataclasses.asdict(planned.cost)),
            }
            for planned in runs
        ],
    }


_COLUMNS = (
    Column("variant", "variant"),
    Column("runs", "runs", "right"),
    *(Column(state, state, "right") for state in STATES),
    Column("flops", "FLOPs", "right", scientific),
    Column("seconds", "GPU time", "right", duration),
    Column("dollars", "dollars", "right", "{:,.2f}".format),
)
