"""What the runs of a RAFT method found."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tfew_pl.metrics import macro_f1
from tfew_pl.record import RunRecord


@dataclass(frozen=True)
class RaftResult:
    """What was found on a task; shares are None where the examples have no labels."""

    task: str
    examples: int
    accuracy: float | None
    macro_f1: float | None


def raft_results(records: Sequence[RunRecord]) -> list[RaftResult]:
    """A result a task, in the order of the records.

    Args:
        records: of one method; those of a task were measured on different parts of its training examples, whose
            predictions are taken together: parts of ten examples are too small for an F1 of their own.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for record in records:
        found.setdefault(record.spec.task, []).append(record.predictions)
    return [_result(task, pd.concat(tables)) for task, tables in found.items()]


def _result(task: str, predictions: pd.DataFrame) -> RaftResult:
    if (predictions["gold"] < 0).any():
        return RaftResult(task, len(predictions), None, None)
    right = predictions["gold"] == predictions["predicted"]
    (f1,) = macro_f1(predictions)  # RAFT's tasks have one template
    return RaftResult(task, len(predictions), float(right.mean()), f1)


def average(results: Sequence[RaftResult]) -> RaftResult | None:
    """The leaderboard's score is the mean of the tasks' F1; None where a task has none."""
    accuracies = [result.accuracy for result in results if result.accuracy is not None]
    scores = [result.macro_f1 for result in results if result.macro_f1 is not None]
    if len(scores) < len(results):
        return None
    examples = sum(result.examples for result in results)
    return RaftResult("average", examples, statistics.fmean(accuracies), statistics.fmean(scores))
