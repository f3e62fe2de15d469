"""Two methods compared by RAFT's metric, macro F1, with the interval of a bootstrap over runs and examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.bootstrap import LEVEL, RESAMPLES, Estimate, Floats
from experiments.comparison import Comparison, signed_rank, without_noise

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """What two methods predict of a task's examples."""

    gold: Classes
    """(examples,)"""
    ours: Classes
    """(runs, examples)"""
    reference: Classes
    """(runs, examples), of the same seeds"""


def paired_predictions(ours: Sequence["RunRecord"], reference: Sequence["RunRecord"]) -> Predictions | None:
    """The predictions of a task's runs with the same seeds; None where there are none, or their examples differ.

    A dataset of RAFT has one template.
    """
    sides = [{record.spec.seed: record for record in records} for records in (ours, reference)]
    seeds = sorted(set.intersection(*map(set, sides)))
    tables = [side[seed].predictions.set_index("example").sort_index() for side in sides for seed in seeds]
    if not tables or any(not table.index.equals(tables[0].index) for table in tables):
        return None
    predicted = np.stack([table["predicted"].to_numpy(np.int64) for table in tables])
    return Predictions(tables[0]["gold"].to_numpy(np.int64), predicted[: len(seeds)], predicted[len(seeds) :])


def macro_f1_of_counts(gold: Classes, predicted: Classes, counts: Floats) -> Floats:
    """Macro F1 of examples that are drawn several times or not at all, in percent.

    Args:
        gold: (examples,)
        predicted: (examples,)
        counts: (resamples, examples), how often each is drawn.

    Returns:
        (resamples,), means over the classes that are correct or predicted somewhere among those drawn. Where classes
        have few examples, some are in no draw, and the mean of resamples is less than what it is resampled from.
    """
    classes = np.union1d(gold, predicted)
    correct, chosen = gold[:, None] == classes, predicted[:, None] == classes  # (examples, classes)
    occurrences = counts @ (correct.astype(float) + chosen)
    hits = counts @ (correct & chosen).astype(float)
    f1 = np.divide(2 * hits, occurrences, out=np.zeros_like(hits), where=occurrences > 0)
    means: Floats = 100 * f1.sum(1) / (occurrences > 0).sum(1)
    return means


def _resampled(task: Predictions, generator: np.random.Generator, resamples: int) -> Floats:
    """(2, 1 + resamples), medians over runs of both methods; the first as they are."""
    runs, examples = task.ours.shape
    drawn = generator.multinomial(examples, np.full(examples, 1 / examples), size=resamples)
    counts = np.concatenate([np.ones((1, examples)), drawn])
    rows = np.concatenate([np.arange(runs)[None], generator.integers(runs, size=(resamples, runs))])
    medians = []
    for predicted in (task.ours, task.reference):
        by_run = np.stack([macro_f1_of_counts(task.gold, run, counts) for run in predicted], axis=1)
        medians.append(np.median(np.take_along_axis(by_run, rows, axis=1), axis=1))
    return np.stack(medians)


def compare_macro_f1(
    ours: Sequence["RunRecord"],
    reference: Sequence["RunRecord"],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Comparison | None:
    """Two methods by their mean macro F1 over the tasks that both have runs of, medians over the runs of each.

    Returns:
        None where they share no seed, or not all examples, of some task, or no task.
    """
    names = [{record.spec.task for record in records} for records in (ours, reference)]
    medians = []
    for name in sorted(set.intersection(*names)):
        task = paired_predictions(*([r for r in records if r.spec.task == name] for records in (ours, reference)))
        if task is None:
            return None
        medians.append(_resampled(task, generator, resamples))
    if not medians:
        return None
    differences = np.stack([one - other for one, other in medians])  # (tasks, 1 + resamples)
    found, *drawn = differences.mean(0)
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    of_tasks = without_noise(differences[:, 0])
    return Comparison(
        difference=Estimate(float(found), float(low), float(high)),
        better=int((of_tasks > 0).sum()),
        worse=int((of_tasks < 0).sum()),
        tasks=len(medians),
        p_value=signed_rank(of_tasks),
        improvement=None,
    )
