"""What `tfew run` shows of a record."""

import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from experiments.display import duration
from experiments.output import Column, show_json, show_table
from experiments.quantities import count, percent, scientific, size
from experiments.statistics import spread
from tfew_pl.metrics import macro_f1
from tfew_pl.record import RunRecord
from tfew_pl.tasks import get_task


def show_record(record: RunRecord, path: Path, *, known: bool, json: bool) -> None:
    """Prints a record: accuracy by template, losses, costs, and where it is.

    Args:
        record: what to show.
        path: its folder.
        known: whether it was there before.
        json: print an object instead of tables.
    """
    if json:
        show_json(_as_object(record, path, known))
        return
    typer.echo(f"{record.spec.label()}\n")
    if record.accuracy:
        _show_accuracy(record)
    else:
        typer.echo(f"{len(record.predictions)} predictions; the examples have no labels")
    if len(record.losses):
        typer.echo()
        losses = record.losses.iloc[sorted({0, len(record.losses) - 1})].to_dict("records")
        show_table(
            [{str(key): value for key, value in row.items()} for row in losses],
            (
                Column("step", "losses up to step", "right"),
                *(
                    Column(key, title, "right", lambda value: f"{value:.4f}")
                    for key, title in (
                        ("lm", "L_LM"),
                        ("unlikelihood", "L_UL"),
                        ("length_norm", "L_LN"),
                    )
                ),
            ),
        )
    typer.echo()
    show_table(
        list(_costs(record)),
        (
            Column("what", "cost"),
            Column("estimated", "by the paper's formula", "right"),
            Column("measured", "as measured", "right"),
        ),
    )
    typer.echo(f"\nrecord {path}" + (" (it was there already: nothing was run)" if known else ""))


def _show_accuracy(record: RunRecord) -> None:
    by_template = {name: 100 * share for name, share in record.accuracy.items()}
    middle = spread(by_template.values())
    columns = [Column("template", "template"), Column("accuracy", "accuracy, %", "right", percent)]
    rows: list[dict[str, Any]] = [{"template": name, "accuracy": value} for name, value in by_template.items()]
    rows.append({"template": f"median (interquartile range {percent(middle.iqr)})", "accuracy": middle.median})
    scores = _macro_f1(record)
    if scores is not None:
        columns.append(Column("macro_f1", "macro F1, %", "right", percent))
        for row, score in zip(rows, [*scores.values(), statistics.median(scores.values())], strict=True):
            row["macro_f1"] = score
    show_table(rows, columns)


def _macro_f1(record: RunRecord) -> dict[str, float] | None:
    """In percent by template; None where it is not the task's metric, or cannot be known."""
    if get_task(record.spec.task).metric != "macro-f1" or not record.accuracy:
        return None
    return {name: 100 * share for name, share in zip(record.accuracy, macro_f1(record.predictions), strict=True)}


def _costs(record: RunRecord) -> Iterator[dict[str, Any]]:
    costs = record.costs
    yield {
        "what": "FLOPs of a prediction",
        "estimated": scientific(costs.inference_flops),
        "measured": scientific(costs.measured_inference_flops),
    }
    if record.spec.trains:
        yield {
            "what": "FLOPs of the training",
            "estimated": scientific(costs.training_flops),
            "measured": scientific(costs.measured_training_flops),
        }
    yield {
        "what": "stored beside the backbone",
        "estimated": size(costs.stored_bytes),
        "measured": size(costs.measured_stored_bytes),
    }
    if record.spec.trains:
        trained = f"{count(costs.trained_parameters)} of {count(costs.parameters)}"
        yield {"what": "trained parameters", "estimated": None, "measured": trained}
        yield {"what": "training time", "estimated": None, "measured": duration(costs.training_seconds)}
    yield {"what": "evaluation time", "estimated": None, "measured": duration(costs.evaluation_seconds)}
    yield {"what": "peak memory", "estimated": None, "measured": size(costs.peak_memory_bytes)}


def _as_object(record: RunRecord, path: Path, known: bool) -> dict[str, Any]:
    middle = spread(100 * share for share in record.accuracy.values()) if record.accuracy else None
    scores = _macro_f1(record)
    return {
        "digest": record.spec.digest,
        "record": str(path),
        "known_before": known,
        "accuracy": None if middle is None else middle.median,
        "accuracy_iqr": None if middle is None else middle.iqr,
        "macro_f1": None if scores is None else statistics.median(scores.values()),
        "templates": {name: 100 * share for name, share in record.accuracy.items()},
        "losses": record.losses.astype(object).where(record.losses.notna(), None).to_dict("records"),
        "costs": dataclasses.asdict(record.costs),
        "environment": dict(record.environment),
        "spec": dataclasses.asdict(record.spec),
    }
