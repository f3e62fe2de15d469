"""What our runs cost: by the paper's formulas, and as measured."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tfew_pl.costs import Price, break_even
from tfew_pl.record import Costs
from tfew_pl.spec import IN_CONTEXT

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

Records = Sequence["RunRecord"]

PROCESS_MEMORY = (
    "Of the records that come with the package, those of commits before 9de9fb7 (Tables 1, 3, 8, 10 and the control, "
    "most of 2 and 4, parts of 5 to 7 and 9) have as memory the peak of their process, which may have done other runs "
    "before."
)
"""What to know of our records' peak memory."""
CONTEXT_BY_FORMULA = (
    "By formula, every prediction reads its context. As measured, a context that is kept, a causal language model's or "
    "one before a query in the decoder, is read once and is in no prediction."
)
"""What sets the two costs of in-context learning apart; the record's fields are the same for all runs."""


def _typical(records: Records, cost: Callable[["RunRecord"], float]) -> float:
    """The median over tasks of the medians over a task's runs."""
    by_task: dict[str, list[float]] = {}
    for record in records:
        by_task.setdefault(record.spec.task, []).append(cost(record))
    return statistics.median(map(statistics.median, by_task.values()))


def typical_cost(records: Records, field: str) -> float:
    """A field of `Costs`: the median over tasks of the medians over a task's runs."""
    return _typical(records, lambda record: getattr(record.costs, field))


def typical_costs(records: Records) -> dict[str, float]:
    """Every field of `Costs`, as `typical_cost` gives it; empty without a record."""
    return {field.name: typical_cost(records, field.name) for field in fields(Costs)} if records else {}


def prediction_seconds(records: Records) -> float:
    """Of the evaluation, for one prediction: the median over tasks of the medians over a task's runs."""
    return _typical(records, lambda record: record.costs.evaluation_seconds / len(record.predictions))


def _row(name: str, records: Records, price: Price | None) -> dict[str, Any]:
    def typical(field: str) -> float:
        return typical_cost(records, field)

    training_flops = typical("measured_training_flops")
    inference_flops = typical("measured_inference_flops")
    return {
        "method": name,
        "backbone": ", ".join(sorted({record.spec.backbone for record in records})),
        "runs": len(records),
        "in_context": any(record.spec.method == IN_CONTEXT for record in records),
        "parameters": typical("parameters"),
        "inference_flops": typical("inference_flops"),
        "measured_inference_flops": inference_flops,
        "training_flops": typical("training_flops"),
        "measured_training_flops": training_flops,
        "disk_bytes": typical("stored_bytes"),
        "measured_disk_bytes": typical("measured_stored_bytes"),
        "training_seconds": typical("training_seconds") if training_flops else 0.0,
        "prediction_seconds": prediction_seconds(records),
        "peak_memory_bytes": typical("peak_memory_bytes"),
        "training_dollars": None if price is None else price.of_flops(training_flops),
        "inference_dollars": None if price is None else price.of_flops(inference_flops),
        "price": None if price is None else price.name,
    }


def _break_even(trained: Mapping[str, Any] | None, row: Mapping[str, Any], kind: str) -> int | None:
    if trained is None or trained is row:
        return None
    names = (f"{kind}training_flops", f"{kind}inference_flops")
    return break_even(*(trained[name] for name in names), *(row[name] for name in names))


def run_values(variants: Mapping[str, Records], price: Price | None) -> list[dict[str, Any]]:
    """A dictionary a variant: FLOPs and bytes by formula and measured, seconds, dollars.

    Each is the median over tasks of the medians over a task's runs. `break_even` and `measured_break_even` are the
    numbers of predictions from which the first variant that trains, which `break_even_of` names, costs no more FLOPs
    than this one; None: never.

    Args:
        variants: the records of each variant, one or more.
        price: of a machine, at which the measured FLOPs are taken; None for no dollars.
    """
    rows = [_row(name, records, price) for name, records in variants.items()]
    trained = next((row for row in rows if row["training_flops"]), None)
    for row in rows:
        row["break_even_of"] = None if trained is None else trained["method"]
        row["break_even"] = _break_even(trained, row, "")
        row["measured_break_even"] = _break_even(trained, row, "measured_")
    return rows
