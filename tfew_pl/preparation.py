"""What a run trains on and what it evaluates, as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfew_pl.backbones import Backbone
from tfew_pl.datamodule import TrainingDraws, encode_evaluation
from tfew_pl.encoding import Encoded, PromptEncoder
from tfew_pl.icl import CONTENT_FREE, ContextEncoder, Probes
from tfew_pl.spec import FOLDS, IN_CONTEXT, ZERO_SHOT, RunSpec
from tfew_pl.tasks import Row, Task, task_of
from tfew_pl.tasks.data import TaskData, load_data
from tfew_pl.tasks.splits import few_shot_indices, leave_out


@dataclass(frozen=True)
class PreparedRun:
    """A run, ready for a backbone."""

    spec: RunSpec
    task: Task
    templates: tuple[str, ...]
    """Names of the templates that are evaluated."""
    draws: TrainingDraws | None
    """The training; None where there is none."""
    plain: Sequence[Encoded]
    """What is evaluated, without a context."""
    examples: Sequence[Encoded]
    """What is evaluated: the same, or in in-context learning each behind every context."""
    shots: float = 0.0
    """Few-shot examples that a prediction carries in its contexts: the mean over templates."""
    probes: Probes | None = None
    """By which the examples are calibrated."""


def prepare(specs: Sequence[RunSpec], backbone: Backbone) -> list[PreparedRun]:
    """Renders and tokenizes what runs need; what several evaluate alike, once.

    Raises:
        UserError: a template does not fit its task's data.
    """
    shared: dict[object, tuple[PromptEncoder, list[Encoded]]] = {}
    runs = []
    for spec in specs:
        task = task_of(spec)
        shots, rows = split(spec, task, load_data(spec.task, spec.data))
        in_context = spec.method == IN_CONTEXT
        own_rows = None if spec.evaluation.fold is None else (spec.seed, spec.shots)
        evaluation = (spec.task, spec.data, tuple(sorted(spec.task_options.items())), spec.evaluation, own_rows)
        if evaluation not in shared:
            limit = task.input_tokens
            if in_context:
                limit = spec.in_context.longest_input(task.input_tokens, backbone.kind.positions)
            templates, causal = task.templates()[: spec.evaluation.templates], not backbone.kind.encoder_decoder
            encoder = PromptEncoder(task, templates, backbone.tokenizer, limit, causal, backbone.kind.positions)
            shared[evaluation] = encoder, encode_evaluation(encoder, rows)
        encoder, plain = shared[evaluation]
        contexts = None
        if in_context:
            kept = spec.in_context.query == "decoder" or not backbone.kind.encoder_decoder
            contexts = ContextEncoder(encoder, shots, rows, spec.in_context, kept=kept)
        runs.append(
            PreparedRun(
                spec=spec,
                task=task,
                templates=tuple(template.name for template in encoder.templates),
                draws=_draws(spec, task, shots, backbone) if spec.trains else None,
                plain=plain,
                examples=plain if contexts is None else contexts.encode(),
                shots=0.0 if contexts is None else contexts.shots,
                probes=None if contexts is None or not spec.in_context.calibrated else _probes(contexts),
            )
        )
    return runs


def _probes(contexts: ContextEncoder) -> Probes:
    return Probes.of([contexts.encode(instead=text) for text in CONTENT_FREE])


def split(spec: RunSpec, task: Task, data: TaskData) -> tuple[list[Row], Sequence[Row]]:
    """A run's few-shot examples, and what it evaluates."""
    fold = spec.evaluation.fold
    if spec.method == ZERO_SHOT and fold is None:
        return [], data.evaluation[: spec.evaluation.examples]
    indices = few_shot_indices(len(data.train), spec.shots or task.shots, spec.seed)
    if fold is None:
        return [data.train[i] for i in indices], data.evaluation[: spec.evaluation.examples]
    kept, left_out = leave_out(indices, fold, FOLDS)
    return [data.train[i] for i in kept], [data.train[i] for i in left_out][: spec.evaluation.examples]


def _draws(spec: RunSpec, task: Task, shots: Sequence[Row], backbone: Backbone) -> TrainingDraws:
    return TrainingDraws(
        PromptEncoder(task, task.templates(), backbone.tokenizer),
        shots,
        seed=spec.seed,
        steps=spec.recipe.steps,
        batch_size=spec.recipe.batch_size,
        drop_last=spec.recipe.drop_last,
    )
