"""run(spec) -> record: from what determines a run to what it found."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tfew_pl import costs, environment
from tfew_pl.adaptation_file import backbone_digest, load_into, to_bytes
from tfew_pl.backbones import Backbone, load_backbone
from tfew_pl.datamodule import EvaluationBatches, TFewDataModule, TrainingDraws, encode_evaluation
from tfew_pl.encoding import INPUT_TOKENS, Encoded, PromptEncoder, collate
from tfew_pl.icl import CONTEXT_INPUT_TOKENS, encode_ensemble
from tfew_pl.method import Adaptation, ParameterCounts
from tfew_pl.module import TFewModule, loss_function
from tfew_pl.progress import Progress
from tfew_pl.quiet import quiet_lightning
from tfew_pl.record import Costs, RunRecord
from tfew_pl.registry import get_method
from tfew_pl.resolve import initial_adaptation, resolve
from tfew_pl.setting import Setting
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, RunSpec
from tfew_pl.tasks import Row, Task, get_task
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.splits import few_shot_indices
from tfew_pl.trainer import make_trainer


def _attach(spec: RunSpec, backbone: Backbone, draws: TrainingDraws) -> Adaptation:
    setting = Setting(
        tokenizer=backbone.tokenizer,
        batches=lambda: (collate([example]) for example in draws.each_once()),
        loss=loss_function(backbone.model, spec.recipe),
    )
    generator = torch.Generator().manual_seed(spec.seed)
    method = get_method(spec.method, spec.options)
    adaptation = method.attach(backbone.model, generator=generator, setting=setting)
    path = initial_adaptation(spec)
    if path is not None:
        load_into(adaptation, path, spec.method, backbone_digest(backbone.model))
    return adaptation


def _encode(
    spec: RunSpec, task: Task, backbone: Backbone, shots: Sequence[Row], rows: Sequence[Row]
) -> tuple[PromptEncoder, list[Encoded], list[Encoded]]:
    """The encoder, the examples without a context, and what is evaluated: the same, or each behind every context."""
    templates = task.templates()[: spec.evaluation.templates]
    rows = rows[: spec.evaluation.examples]
    in_context = spec.method == IN_CONTEXT
    limit = CONTEXT_INPUT_TOKENS if in_context else INPUT_TOKENS
    encoder = PromptEncoder(task, templates, backbone.tokenizer, limit)
    plain = encode_evaluation(encoder, rows)
    return encoder, plain, encode_ensemble(encoder, shots, rows) if in_context else plain


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


def _measured(
    module: TFewModule, draws: TrainingDraws | None, evaluation: EvaluationBatches, batch_size: int
) -> tuple[float, float]:
    """FLOPs of scoring one input and of one training step, counted over a batch of middle length and the first step."""
    batch = evaluation[len(evaluation) // 2].to(module.device)
    with _without_gradients(module):
        inference = costs.count_flops(lambda: module.score(batch)) / len(batch.gold)
    if draws is None:
        return inference, 0.0
    step = collate([draws[i] for i in range(batch_size)]).to(module.device)
    training = costs.count_flops(lambda: module.losses(step).backward())
    module.zero_grad()
    return inference, training


def _costs(
    spec: RunSpec,
    task: Task,
    backbone: Backbone,
    examples: Sequence[Encoded],
    plain: Sequence[Encoded],
    *,
    counts: ParameterCounts | None,
    stored: int,
    measured: tuple[float, float],
    seconds: tuple[float, float],
    device: torch.device,
) -> Costs:
    parameters, tokens = backbone.parameters, costs.median_tokens(plain)
    in_context = spec.method == IN_CONTEXT
    shots = (spec.shots or task.shots) if in_context else 0
    shot_tokens = costs.median_shot_tokens(plain) if in_context else 0.0
    contexts = len(examples) // len(plain)
    recipe = spec.recipe
    trained = 0 if counts is None else counts.trainable
    context_bytes = costs.context_bytes(shots, shot_tokens)
    training = costs.training_flops(parameters, tokens, recipe.steps, recipe.batch_size) if trained else 0.0
    return Costs(
        parameters=parameters,
        trained_parameters=trained,
        input_tokens=tokens,
        shots=shots,
        inference_flops=costs.inference_flops(parameters, tokens, shots, shot_tokens),
        training_flops=training,
        stored_bytes=context_bytes if in_context else costs.adaptation_bytes(0 if counts is None else counts.stored),
        measured_inference_flops=measured[0] * contexts,
        measured_training_flops=measured[1] * recipe.steps,
        measured_stored_bytes=context_bytes if in_context else stored,
        training_seconds=seconds[0],
        evaluation_seconds=seconds[1],
        peak_memory_bytes=costs.peak_memory_bytes(device),
    )


def run(spec: RunSpec, *, progress: Progress | None = None, trainer: Mapping[str, Any] | None = None) -> RunRecord:
    """Runs what a spec describes.

    Args:
        spec: the run; its revisions are filled in if they are not.
        progress: told how far the run has come.
        trainer: flags of Lightning's Trainer, such as `accelerator`, `devices`, `strategy`,
            `accumulate_grad_batches`.

    Raises:
        UserError: the spec cannot be run.
        RuntimeError: a loss is not a number.
    """
    spec = resolve(spec)
    task, data = get_task(spec.task), load_data(spec.task, spec.data)
    shots: list[Row] = []
    if spec.method != ZERO_SHOT:
        indices = few_shot_indices(len(data.train), spec.shots or task.shots, spec.seed)
        shots = [data.train[i] for i in indices]
    backbone = load_backbone(spec.backbone, spec.precision)
    encoder, plain, examples = _encode(spec, task, backbone, shots, data.evaluation)
    draws = None
    if spec.trains:
        everywhere = PromptEncoder(task, task.templates(), backbone.tokenizer)
        draws = TrainingDraws(
            everywhere,
            shots,
            seed=spec.seed,
            steps=spec.recipe.steps,
            batch_size=spec.recipe.batch_size,
            drop_last=spec.recipe.drop_last,
        )
    adaptation = None if draws is None else _attach(spec, backbone, draws)
    try:
        module = TFewModule(backbone.model, adaptation, spec.recipe, max(len(e.choices) for e in examples))
        module_data = TFewDataModule(draws, examples, spec.recipe.batch_size)
        with quiet_lightning(), torch.random.fork_rng():
            lightning = make_trainer(spec.recipe, spec.precision, progress, trainer)
            torch.manual_seed(spec.seed)
            start = time.perf_counter()
            if draws is not None:
                lightning.fit(module, datamodule=module_data)
            trained_at = time.perf_counter()
            lightning.test(module, datamodule=module_data, verbose=False)
            evaluated_at = time.perf_counter()
        losses = module.loss_table()
        if not all(math.isfinite(value) for row in module.history for value in row.values()):
            raise RuntimeError(f"{spec.label()}: a loss is not a number")
        table = module.predictions.table()
        names = [template.name for template in encoder.templates]
        shares = (table["gold"] == table["predicted"]).groupby(table["template"]).mean().sort_index()
        content = None
        if adaptation is not None:
            content = to_bytes(adaptation, spec.method, backbone_digest(backbone.model))
        return RunRecord(
            spec=spec,
            accuracy=dict(zip(names, shares.tolist(), strict=True)),
            predictions=table,
            losses=losses,
            costs=_costs(
                spec,
                task,
                backbone,
                examples,
                plain,
                counts=None if adaptation is None else adaptation.counts(),
                stored=len(content or b""),
                measured=_measured(module, draws, EvaluationBatches(examples), spec.recipe.batch_size),
                seconds=(trained_at - start, evaluated_at - trained_at),
                device=module.device,
            ),
            environment=environment.describe(module.device),
            adaptation=content,
        )
    finally:
        if adaptation is not None:
            adaptation.detach()
