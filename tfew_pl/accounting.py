"""What a run costs: its record's `Costs`, by the formulas of `costs` and as counted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from tfew_pl import costs
from tfew_pl.backbones import Backbone
from tfew_pl.choices import ChoiceBatch
from tfew_pl.datamodule import EvaluationBatches
from tfew_pl.encoding import Encoded, collate
from tfew_pl.method import ParameterCounts
from tfew_pl.module import TFewModule
from tfew_pl.preparation import PreparedRun
from tfew_pl.record import Costs
from tfew_pl.spec import IN_CONTEXT


@contextmanager
def _without_gradients(module: TFewModule) -> Iterator[None]:
    """Within it no parameter wants a gradient: torch 2.13's counter of FLOPs fails on a parameter's view in no_grad,
    which it takes for one that wants a gradient and has no function to make it.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with torch.no_grad():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def count_flops(run: PreparedRun, module: TFewModule, micro_batch: int) -> tuple[float, float]:
    """FLOPs of one prediction and of the whole training, counted over a batch of middle length and the first step.

    A prediction is of all its contexts, and has its share of the probes that calibrate them.

    Args:
        run: what is trained and evaluated.
        module: with one slot.
        micro_batch: training examples that the device has room for at a time.
    """
    asked = [run.examples, *([] if run.probes is None else [run.probes.asked])]
    with _without_gradients(module):
        inference = sum(_flops(examples, len(run.plain), module) for examples in asked)
    if run.draws is None:
        return inference, 0.0
    examples = [run.draws[i] for i in range(run.spec.recipe.batch_size)]
    parts = [collate(examples[i : i + micro_batch]) for i in range(0, len(examples), micro_batch)]

    def step(part: ChoiceBatch) -> None:
        module.losses(part).backward()
        module.zero_grad()

    counted = sum(costs.count_flops(partial(step, part.to(module.device))) for part in parts)
    return inference, counted * run.spec.recipe.steps


def _flops(examples: Sequence[Encoded], predictions: int, module: TFewModule) -> float:
    """FLOPs of examples for one of so many predictions, by those of their batch of middle length."""
    batches = EvaluationBatches(examples)
    batch = batches[len(batches) // 2].to(module.device)
    if batch.kept is not None:
        module.score(batch)  # the context is read once, not for every prediction
    return len(examples) / predictions * costs.count_flops(lambda: module.score(batch)) / len(batch.gold)


def run_costs(
    run: PreparedRun,
    backbone: Backbone,
    *,
    counts: ParameterCounts | None,
    stored: int,
    flops: tuple[float, float],
    seconds: tuple[float, float],
    peak_memory: int,
) -> Costs:
    """The costs of a run.

    Args:
        run: what was trained and evaluated.
        backbone: on what.
        counts: of the adaptation's parameters, if there is one.
        stored: bytes of the adaptation's file.
        flops: what `count_flops` gave.
        seconds: of training and of evaluation.
        peak_memory: bytes.
    """
    spec, recipe, parameters, tokens = run.spec, run.spec.recipe, backbone.parameters, costs.median_tokens(run.plain)
    in_context = spec.method == IN_CONTEXT
    shot_tokens = costs.median_shot_tokens(run.plain) if in_context else 0.0
    trained = 0 if counts is None else counts.trainable
    context_bytes = costs.context_bytes(run.shots, shot_tokens)
    training = costs.training_flops(parameters, tokens, recipe.steps, recipe.batch_size) if trained else 0.0
    kind = {"encoder_decoder": backbone.kind.encoder_decoder}
    return Costs(
        parameters=parameters,
        trained_parameters=trained,
        input_tokens=tokens,
        shots=round(run.shots),
        inference_flops=costs.inference_flops(parameters, tokens, run.shots, shot_tokens, **kind),
        training_flops=training,
        stored_bytes=context_bytes if in_context else costs.adaptation_bytes(0 if counts is None else counts.stored),
        measured_inference_flops=flops[0],
        measured_training_flops=flops[1],
        measured_stored_bytes=context_bytes if in_context else stored,
        training_seconds=seconds[0],
        evaluation_seconds=seconds[1],
        peak_memory_bytes=peak_memory,
    )
