"""What a run trains on and what it evaluates, as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfew_pl.backbones import Backbone
from tfew_pl.datamodule import TrainingDraws, encode_evaluation
from tfew_pl.encoding import INPUT_TOKENS, Encoded, PromptEncoder
from tfew_pl.icl import ContextEncoder
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Evaluation, RunSpec
from tfew_pl.tasks import Row, Task, get_task
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.splits import few_shot_indices


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
    contexts: ContextEncoder | None = None
    """What has put them behind their contexts."""


def prepare(specs: Sequence[RunSpec], backbone: Backbone) -> list[PreparedRun]:
    """Renders and tokenizes what runs need; what several evaluate alike, once.

    Raises:
        UserError: a template does not fit its task's data.
    """
    shared: dict[tuple[str, str, Evaluation], tuple[PromptEncoder, list[Encoded]]] = {}
    runs = []
    for spec in specs:
        task, data = get_task(spec.task), load_data(spec.task, spec.data)
        shots: list[Row] = []
        if spec.method != ZERO_SHOT:
            indices = few_shot_indices(len(data.train), spec.shots or task.shots, spec.seed)
            shots = [data.train[i] for i in indices]
        in_context = spec.method == IN_CONTEXT
        rows = data.evaluation[: spec.evaluation.examples]
        evaluation = (spec.task, spec.data, spec.evaluation)
        if evaluation not in shared:
            limit = spec.in_context.tokens if in_context else INPUT_TOKENS
            templates, causal = task.templates()[: spec.evaluation.templates], not backbone.kind.encoder_decoder
            encoder = PromptEncoder(task, templates, backbone.tokenizer, limit, causal)
            shared[evaluation] = encoder, encode_evaluation(encoder, rows)
        encoder, plain = shared[evaluation]
        contexts = _contexts(spec, encoder, shots, backbone) if in_context else None
        runs.append(
            PreparedRun(
                spec=spec,
                task=task,
                templates=tuple(template.name for template in encoder.templates),
                draws=_draws(spec, task, shots, backbone) if spec.trains else None,
                plain=plain,
                examples=plain if contexts is None else contexts.encode(rows),
                contexts=contexts,
            )
        )
    return runs


def _contexts(spec: RunSpec, encoder: PromptEncoder, shots: Sequence[Row], backbone: Backbone) -> ContextEncoder:
    kept = spec.in_context.query == "decoder" or not backbone.kind.encoder_decoder
    return ContextEncoder(encoder, shots, spec.in_context, kept=kept, tokens=backbone.kind.positions)


def _draws(spec: RunSpec, task: Task, shots: Sequence[Row], backbone: Backbone) -> TrainingDraws:
    return TrainingDraws(
        PromptEncoder(task, task.templates(), backbone.tokenizer),
        shots,
        seed=spec.seed,
        steps=spec.recipe.steps,
        batch_size=spec.recipe.batch_size,
        drop_last=spec.recipe.drop_last,
    )
