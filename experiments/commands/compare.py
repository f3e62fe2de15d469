"""`tfew compare`: which methods of a grid are better, and how sure that is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.flags import Backbone, Data, Initial, Precision, Store
from experiments.output import JSON, Column, show_json, show_table

if TYPE_CHECKING:
    from experiments.ranks import Ranking


def _with_interval(digits: int) -> Any:
    return lambda numbers: "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*numbers, d=digits)


_COLUMNS = (
    Column("method", "method"),
    Column("runs", "runs", "right"),
    Column("rank", "rank", "right", "{:.2f}".format),
    Column("accuracy", "accuracy [95 %]", "right", _with_interval(1)),
    Column("difference", "difference [95 %]", "right", _with_interval(1)),
    Column("tasks_won", "tasks won", "right"),
    Column("p_value", "p", "right", "{:.3f}".format),
    Column("improvement", "better run [95 %]", "right", _with_interval(2)),
)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row for people: intervals as triples, tasks won of those that differ in a text."""
    shown = dict(row)
    for name in ("accuracy", "difference", "improvement"):
        numbers = tuple(row[key] for key in (name, f"{name}_low", f"{name}_high"))
        shown[name] = None if None in numbers else numbers
    shown["tasks_won"] = None if row["better"] is None else f"{row['better']} of {row['better'] + row['worse']}"
    return shown


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"


def _ranks(ranks: "Ranking") -> str:
    friedman = "" if ranks.p_value is None else f"Friedman test: p = {ranks.p_value:.2g}. "
    groups = "; ".join(", ".join(group) for group in ranks.groups) or "none"
    return (
        f"{friedman}Ranks over {_tasks(ranks.tasks)} that differ by less than {ranks.critical_difference:.2f} may do "
        f"so by chance (Nemenyi test, 5 %, of ranks alone; the differences above are paired): {groups}"
    )


def command(
    grid: Annotated[str, typer.Argument(help="A grid file, or the name of one that ships with the package.")],
    reference: Annotated[
        str | None, typer.Option(help="The variant that the others are compared with; the first if left out.")
    ] = None,
    store: Store = None,
    backbone: Backbone = None,
    data: Data = None,
    precision: Precision = None,
    initial: Initial = None,
    json: JSON = False,
) -> None:
    """Compare the methods of a grid on the same few-shot splits, templates and examples.

    Intervals: 95 % of a bootstrap over splits, templates and examples. p: Wilcoxon's signed-rank test over tasks.
    Better run: the probability that a run beats one of the reference. Rank: on average over tasks, on the splits,
    templates and examples of all methods.

    Examples:
        tfew compare table1
        tfew compare table1 --reference Zero-shot --json
    """
    from experiments.contrasts import contrasts
    from experiments.finished import Selection, finished_runs
    from experiments.replacements import Replaced
    from tfew_pl.naming import look_up
    from tfew_pl.tasks import RAFT_TASKS

    variants = finished_runs(grid, Selection(store, Replaced(backbone, data, precision, initial)))
    chosen = reference or next(iter(variants))
    look_up("variant", chosen, variants)
    found = contrasts(variants, chosen)
    if json:
        show_json(found.values())
        return
    show_table([_shown(row) for row in found.rows], _COLUMNS)
    tasks = {record.spec.task for record in variants[chosen]} - {*found.unlabeled}
    typer.echo(
        f"\nAll is of {_tasks(len(tasks))}, those of {chosen}. Differences are to it, in points of accuracy on the "
        "splits, templates and examples of both."
    )
    if not tasks.isdisjoint(RAFT_TASKS):
        typer.echo("RAFT itself ranks by macro F1, which can tell otherwise: tfew table 2")
    if found.incomplete:
        typer.echo(f"Left out, as they have no run of some of these tasks: {', '.join(found.incomplete)}.")
    if found.unlabeled:
        typer.echo(f"Left out, as their evaluation examples have no labels: {', '.join(found.unlabeled)}.")
    if found.ranking is not None:
        typer.echo(_ranks(found.ranking))
