"""What a run found."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfew_pl.spec import RunSpec

if TYPE_CHECKING:  # listing runs must not wait for pandas
    import pandas as pd

SCHEMA_VERSION = 1
"""Version of the record's schema; it is part of every record."""


@dataclass(frozen=True)
class Costs:
    """What a run costs; FLOPs count a multiplication and an addition as two."""

    parameters: int
    """Parameters of the backbone, N."""
    trained_parameters: int
    input_tokens: float
    """Median length of an example: its input and all of its choices."""
    shots: int
    """Few-shot examples that a prediction carries in its context; 0 without in-context learning."""
    inference_flops: float
    """For one prediction, by the paper's formula (Section 4.2)."""
    training_flops: float
    """For the whole training, by the paper's formula."""
    stored_bytes: int
    """What has to be kept for the task beside the backbone, by the paper's formula."""
    measured_inference_flops: float
    """Counted by PyTorch over a batch of middle length, for one prediction."""
    measured_training_flops: float
    """Counted by PyTorch over the first step, times the steps."""
    measured_stored_bytes: int
    """Size of the adaptation's file, of the token ids of the context, or of a model of its own."""
    training_seconds: float
    evaluation_seconds: float
    peak_memory_bytes: int
    """Of the device; on a CPU, of the process."""


def median_accuracy(accuracy: Mapping[str, float]) -> float:
    """A run's accuracy over templates; NaN where its evaluation examples have no labels."""
    return statistics.median(accuracy.values()) if accuracy else math.nan


@dataclass(frozen=True)
class RunRecord:
    """Everything that a run found."""

    spec: RunSpec
    accuracy: Mapping[str, float]
    """Share of correct predictions by template; empty where the evaluation examples have no labels."""
    predictions: "pd.DataFrame"
    """A row a template and example: `template`, `example`, `gold` (-1 without a label), `predicted`."""
    losses: "pd.DataFrame"
    """A row a stretch of training: `step`, and the means of `lm`, `unlikelihood`, `length_norm` up to it."""
    costs: Costs
    environment: Mapping[str, Any]
    """Versions, device, threads, commit, Lightning's precision, digest and dtype of the backbone's weights. What
    determines the run is in its spec: seed, precision, revisions of the backbone and of the data. `recounted` holds the
    versions and the commit by which FLOPs were counted anew."""
    adaptation: bytes | None = None
    """The trained parameters as a safetensors file; None where nothing was trained, or a whole model of its own."""
    version: int = SCHEMA_VERSION
