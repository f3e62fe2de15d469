"""`tfew cost`: what methods cost, in FLOPs, bytes, seconds and dollars."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.flags import Backbone, Data, Initial, Precision, Store
from experiments.output import JSON, Column, show_json, show_table
from experiments.quantities import scientific, size

if TYPE_CHECKING:
    from experiments.finished import Selection

PAPER = "paper"
"""The setting of Table 1."""
DEFAULT_PRICE = "a100"
"""Of the paper's setting."""


def _dollars(value: float) -> str:
    return f"{value:.2g}" if value else "0"


def _pairs(other: str, head: str) -> tuple[Column, ...]:
    """Columns of FLOPs and bytes by the paper's formulas, with what is printed or measured beside them."""
    kinds = (("inference_flops", "inference FLOPs", scientific), ("training_flops", "training FLOPs", scientific),
             ("disk_bytes", "disk", size))  # fmt: skip
    return tuple(
        column
        for key, title, show in kinds
        for column in (Column(key, title, "right", show), Column(f"{other}_{key}", head, "right", show))
    )


_PAPER = (
    Column("method", "method"),
    *_pairs("printed", "printed"),
    Column("cached_inference_flops", "with cache", "right", scientific),
    Column("cache_bytes", "cache", "right", size),
    Column("break_even", "break-even", "right", "{:,}".format),
    Column("break_even_cached", "with cache", "right", "{:,}".format),
    Column("training_dollars", "$ training", "right", _dollars),
    Column("inference_dollars", "$ prediction", "right", _dollars),
)
_RUNS = (
    Column("method", "method"),
    Column("backbone", "backbone"),
    *_pairs("measured", "measured"),
    Column("training_seconds", "s training", "right", "{:.3g}".format),
    Column("prediction_seconds", "s prediction", "right", "{:.2g}".format),
    Column("peak_memory_bytes", "peak memory", "right", size),
    Column("break_even", "break-even", "right", "{:,}".format),
    Column("measured_break_even", "measured", "right", "{:,}".format),
    Column("training_dollars", "$ training", "right", _dollars),
    Column("inference_dollars", "$ prediction", "right", _dollars),
)


def run_rows(name: str, selection: "Selection", price: str | None) -> list[dict[str, Any]]:
    """The costs of a grid's finished runs.

    Raises:
        UserError: there is no such grid or price, or none of its runs is finished.
    """
    from experiments.finished import finished_runs
    from experiments.gpus import parse_price
    from experiments.run_costs import run_values

    chosen = None if price is None else parse_price(price)
    return run_values(finished_runs(name, selection), chosen)


def _notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the rows' numbers rest on, a line each."""
    from experiments.run_costs import CONTEXT_BY_FORMULA, PROCESS_MEMORY

    of = rows[0]["break_even_of"]
    if of is not None:
        yield f"Break-even: predictions from which {of}, its training included, costs no more FLOPs; a dash: never."
    if any(row.get("in_context") for row in rows):
        yield CONTEXT_BY_FORMULA
    if "peak_memory_bytes" in rows[0]:
        yield PROCESS_MEMORY
    if rows[0]["price"] is None:
        yield "Dollars: with --price."


def command(
    setting: Annotated[
        str, typer.Option(help="paper for that of its Table 1; else a grid, whose finished runs are looked at.")
    ] = PAPER,
    store: Store = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    price: Annotated[
        str | None,
        typer.Option(help="a100, h100 or l4, as busy as the paper's; or NAME=DOLLARS_PER_HOUR@FLOPS_PER_SECOND."),
    ] = None,
    json: JSON = False,
) -> None:
    """Show what methods cost: FLOPs, bytes and dollars, by the paper's formulas and as printed or measured.

    Break-even: predictions from which T-Few, or of a grid's runs the first method that trains, costs no more, its
    training included; a dash: never. With cache: the keys and values of the context are computed once; an encoder
    cannot keep them, as it reads context and query together. As measured, a context that is kept is in no prediction.
    Dollars are those of the FLOPs, of finished runs as measured, at the speed and the hourly price of a machine.

    Examples:
        tfew cost
        tfew cost --setting paper --json
        tfew cost --setting table1 --price h100=2.50@5e13
    """
    if setting == PAPER:
        from experiments.costs import paper_values
        from experiments.gpus import parse_price
        from tfew_pl.errors import UserError

        chosen = {"store": store, "backbone": backbone, "data": data, "precision": precision, "initial": initial}
        for flag, value in chosen.items():
            if value is not None:
                raise UserError(f"--{flag} chooses among runs: give --setting a grid, such as table1")
        rows, columns = paper_values(parse_price(price or DEFAULT_PRICE)), _PAPER
    else:
        from experiments.finished import Selection
        from experiments.replacements import Replaced

        rows, columns = run_rows(setting, Selection(store, Replaced(backbone, data, precision, initial)), price), _RUNS
    if json:
        show_json(rows)
        return
    priced = rows[0]["price"] is not None
    show_table(rows, [column for column in columns if priced or not column.key.endswith("_dollars")])
    for note in _notes(rows):
        typer.echo(f"\n{note}")
    if priced:
        from experiments.gpus import describe_price

        typer.echo(f"\nDollars at the price {describe_price(price or DEFAULT_PRICE)}")
