"""What the runs of a grid will cost, by the paper's formulas (Section 4.2), before any weight is loaded."""

import json
import statistics
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from experiments.published import EXAMPLE_TOKENS, SHOT_TOKENS
from tfew_pl import backbones, costs
from tfew_pl.costs import Price
from tfew_pl.registry import get_classifier, registered_classifiers
from tfew_pl.shapes import SHAPES, VOCABULARY, Shape
from tfew_pl.spec import FOLDS, IN_CONTEXT, RunSpec
from tfew_pl.tasks import get_task
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.splits import leave_out

T5 = backbones.Kind("t5", encoder_decoder=True)
_BUCKETS = 32
"""Of T5's relative positions."""

Lengths = Mapping[tuple[str, str], float]
"""Median tokens of an example by task and backbone."""


@dataclass(frozen=True)
class Estimate:
    """What a run will cost."""

    flops: float
    """Of training and evaluation."""
    seconds: float
    dollars: float


def measured_lengths(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Tokens of an example as finished runs found them.

    Args:
        records: `record.json` of each.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        spec = record["spec"]
        found[spec["task"], spec["backbone"]].append(record["costs"]["input_tokens"])
    return {key: statistics.median(values) for key, values in found.items()}


def estimate(spec: RunSpec, price: Price, lengths: Lengths) -> Estimate | None:
    """What a run will cost alone; None where the backbone's size is not known without loading it.

    Args:
        spec: resolved.
        price: of the machine.
        lengths: of examples, where known; else the paper's median is taken. An example in a context is shorter by its
            wrong choices: as much as in the paper, 98 tokens of 103.
    """
    tokens = lengths.get((spec.task, spec.backbone), EXAMPLE_TOKENS)
    flops = _classifier_flops(spec, tokens) if spec.method in registered_classifiers() else _flops(spec, tokens)
    if flops is None:
        return None
    return Estimate(flops, flops / price.flops_per_second, price.of_flops(flops))


def _flops(spec: RunSpec, tokens: float) -> float | None:
    parameters = backbone_parameters(spec.backbone)
    if parameters is None:
        return None
    # Of the T5s whose shapes are known, no file is here; others are folders, with their config.json.
    kind = T5 if spec.backbone in SHAPES else backbones.kind(spec.backbone)
    each = {"encoder_decoder": kind.encoder_decoder}
    shot_tokens = tokens * SHOT_TOKENS / EXAMPLE_TOKENS
    shots = _context_shots(spec, kind.positions, tokens, shot_tokens) if spec.method == IN_CONTEXT else 0
    flops = _predictions(spec) * costs.inference_flops(parameters, tokens, shots, shot_tokens, **each)
    if spec.trains:
        flops += costs.training_flops(parameters, tokens, spec.recipe.steps, spec.recipe.batch_size, **each)
    return flops


def _context_shots(spec: RunSpec, positions: int | None, tokens: float, shot_tokens: float) -> int:
    """Few-shot examples that stand before a query over all of its contexts: in one context, as many as fit."""
    shots, _ = _split(spec)
    if spec.in_context.contexts == "ensemble":
        return shots
    room = spec.in_context.longest_input(get_task(spec.task).input_tokens, positions) - tokens
    return max(0, min(shots, int(room / shot_tokens)))


def _classifier_flops(spec: RunSpec, tokens: float) -> float | None:
    method = get_classifier(spec.method, spec.options)
    parameters = method.parameters(spec.backbone)
    if parameters is None:
        return None
    shots, examples = _split(spec)
    inference = examples * costs.inference_flops(parameters, tokens, encoder_decoder=False)
    return inference + costs.training_flops(parameters, tokens, 1, method.texts(shots), encoder_decoder=False)


def _split(spec: RunSpec) -> tuple[int, int]:
    """Few-shot examples, and those that are evaluated; see `tfew_pl.preparation.split`."""
    limits, shots = spec.evaluation, spec.shots or get_task(spec.task).shots
    examples, _ = _sizes(spec.task, spec.data)
    if limits.fold is not None:
        kept, left_out = leave_out(range(shots), limits.fold, FOLDS)
        shots, examples = len(kept), len(left_out)
    return shots, min(examples, limits.examples or examples)


def _predictions(spec: RunSpec) -> int:
    """Examples times templates."""
    _, templates = _sizes(spec.task, spec.data)
    return _split(spec)[1] * min(templates, spec.evaluation.templates or templates)


@cache
def _sizes(task: str, data: str) -> tuple[int, int]:
    return len(load_data(task, data).evaluation), len(get_task(task).templates())


@cache
def backbone_parameters(name: str) -> int | None:
    """Number of parameters: of a known T5 by its shape, of a folder by its files' headers; None for another."""
    if name in SHAPES:
        return parameters_of(SHAPES[name])
    alias = backbones.resolve(name)
    if not Path(alias.source).is_dir():
        return None
    files = sorted(Path(alias.source).glob("*.safetensors"))
    return sum(_values(file) for file in files) or None


def parameters_of(shape: Shape) -> int:
    """Parameters of a T5 of that shape."""
    inner, d = shape.heads * shape.d_kv, shape.d_model
    attention = 4 * d * inner
    feed_forward = (3 if shape.gated else 2) * d * shape.d_ff
    encoder_layer = attention + feed_forward + 2 * d
    decoder_layer = 2 * attention + feed_forward + 3 * d
    embeddings = (2 if shape.gated else 1) * VOCABULARY * d
    positions = 2 * _BUCKETS * shape.heads
    return embeddings + shape.layers * (encoder_layer + decoder_layer) + 2 * d + positions


def _values(file: Path) -> int:
    """Numbers in a safetensors file, by its header."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            size = 1
            for extent in tensor["shape"]:
                size *= extent
            total += size
    return total
