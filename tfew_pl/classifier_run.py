"""The run of a text classifier: from its spec to its record."""

import time
from collections.abc import Sequence
from statistics import median

import pandas as pd

from tfew_pl import costs, environment, metrics
from tfew_pl.errors import UserError
from tfew_pl.preparation import split
from tfew_pl.progress import Progress
from tfew_pl.record import Costs, RunRecord
from tfew_pl.registry import get_classifier
from tfew_pl.spec import RunSpec
from tfew_pl.tasks import task_of
from tfew_pl.tasks.data import load_data
from tfew_pl.text_classifier import TrainedClassifier

TEMPLATE = "text"
"""Stands in a record for a template: the text alone is read."""
_COUNTED = 32
"""Texts of middle length over which FLOPs are counted."""


def run_classifier(spec: RunSpec, progress: Progress | None = None) -> RunRecord:
    """The record of a text classifier's run.

    It keeps no adaptation: the whole encoder is trained, and would be most of a store. FLOPs by formula are 2N a token
    for inference and 6N for training, since each token passes through all of an encoder; the linear classifier on top
    of it is left out.

    Args:
        spec: resolved.
        progress: told how far the run has come.

    Raises:
        UserError: something has to be installed first, or the few-shot examples are all of one class.
    """
    method, task = get_classifier(spec.method, spec.options), task_of(spec)
    missing = method.missing(spec.backbone)
    if missing is not None:
        raise UserError(missing)
    shots, rows = split(spec, task, load_data(spec.task, spec.data))
    labels = [task.label(row) for row in shots]
    if len(set(labels)) < 2:
        raise UserError(f"{spec.label()}: its {len(shots)} training examples are all of one class: give it more shots")
    peak = costs.PeakMemory()
    start = time.perf_counter()
    trained = method.train(
        [task.text(row) for row in shots], labels, backbone=spec.backbone, seed=spec.seed, progress=progress
    )
    trained_at = time.perf_counter()
    texts = [task.text(row) for row in rows]
    predicted = trained.predict(texts)
    seconds = (trained_at - start, time.perf_counter() - trained_at)
    if progress is not None:
        progress("evaluation", 1.0)
    gold = [task.label(row) for row in rows]
    table = pd.DataFrame({"template": 0, "example": range(len(rows)), "gold": gold, "predicted": predicted})
    return RunRecord(
        spec=spec,
        accuracy=metrics.accuracy(table, [TEMPLATE]),
        predictions=table,
        losses=trained.losses,
        costs=_costs(trained, texts, method.texts(len(shots)), seconds, peak),
        environment=environment.describe(trained.device, method.packages),
    )


def _costs(
    trained: TrainedClassifier, texts: Sequence[str], passes: int, seconds: tuple[float, float], peak: costs.PeakMemory
) -> Costs:
    tokens = median(map(trained.length, texts))
    by_length = sorted(texts, key=trained.length)
    first = max(0, (len(by_length) - _COUNTED) // 2)
    middle = by_length[first : first + _COUNTED]
    of_encoder = {"encoder_decoder": False}
    return Costs(
        parameters=trained.parameters,
        trained_parameters=trained.trained_parameters,
        input_tokens=tokens,
        shots=0,
        inference_flops=costs.inference_flops(trained.parameters, tokens, **of_encoder),
        training_flops=costs.training_flops(trained.parameters, tokens, steps=1, batch_size=passes, **of_encoder),
        stored_bytes=costs.adaptation_bytes(trained.trained_parameters),
        measured_inference_flops=costs.count_flops(lambda: trained.predict(middle)) / len(middle),
        measured_training_flops=trained.measured_training_flops,
        measured_stored_bytes=len(trained.stored),
        training_seconds=seconds[0],
        evaluation_seconds=seconds[1],
        peak_memory_bytes=peak.of(trained.device),
    )
