"""Training a user's task: the recipe of a run, on all rows and, to measure it, on all but a part of them."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from tfew_pl import backbones, environment
from tfew_pl.adaptation_file import backbone_digest, load_into, to_bytes
from tfew_pl.backbones import Backbone, load_backbone
from tfew_pl.datamodule import TFewDataModule, TrainingDraws, encode_evaluation
from tfew_pl.encoding import Encoded, PromptEncoder, collate, in_slot
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation
from tfew_pl.module import DivergedError, TFewModule, loss_function
from tfew_pl.naming import look_up
from tfew_pl.progress import Progress
from tfew_pl.quantization import require_library
from tfew_pl.quiet import quiet_lightning
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method, method_class, registered_methods
from tfew_pl.resolve import initial_adaptation
from tfew_pl.setting import Setting
from tfew_pl.spec import Precision, Revisions, RunSpec, Scalar
from tfew_pl.tasks.task import Row
from tfew_pl.trainer import make_trainer
from tfew_pl.userdata.fitted import DATA, Fitted
from tfew_pl.userdata.held_out import HeldOut, most_frequent_share, stratified_folds
from tfew_pl.userdata.task import TextTask

POCKET_STEPS = 100
"""Steps on an embedded backbone, in place of the recipe's 1,000, so that a fit with its folds takes half a minute."""
FOLDS = 4
"""Parts that are left out in turn where there is no test table."""
SMALL_BACKBONE = 100_000_000
"""Parameters up to which all folds are trained in one pass, as slots: larger ones keep a device busy one by one."""


@dataclass(frozen=True)
class _Part:
    """A training: the rows that it sees and those that it is measured on, by index."""

    trained: Sequence[int]
    held_out: Sequence[int]


def fit_spec(
    name: str,
    *,
    backbone: str = RunSpec.backbone,
    method: str = RunSpec.method,
    options: Mapping[str, Scalar] | None = None,
    seed: int = RunSpec.seed,
    steps: int | None = None,
    precision: Precision = "fp32",
) -> RunSpec:
    """How a user's task is trained, checked before any weight is loaded.

    The recipe is the method's own. It starts from pre-trained vectors where some are known for the backbone, and from
    scratch elsewhere.

    Args:
        name: of the task.
        backbone: alias, hub id or folder.
        method: its name.
        options: of the method.
        seed: of folds, orders and initialization.
        steps: None for the recipe's number, or `POCKET_STEPS` on a backbone that ships with the package.
        precision: of the backbone's weights: fp32, bf16, int8 or nf4.

    Raises:
        UserError: the backbone or the method is unknown, or a value does not fit.
    """
    look_up("method", method, registered_methods())
    get_method(method, options)
    alias = backbones.resolve(backbone)
    kind = backbones.kind(backbone)
    if not kind.encoder_decoder:
        raise UserError(f"backbone {backbone}: a causal {kind.model_type}; a fit needs one of the T5 family")
    recipe = dataclasses.replace(Recipe(), **method_class(method).recipe)
    if steps is not None or (backbone in backbones.ALIASES and alias.is_local):
        recipe = dataclasses.replace(recipe, steps=POCKET_STEPS if steps is None else steps)
    spec = RunSpec(
        name, backbone, method, seed, recipe, dict(options or {}), data=DATA, precision=precision,
        revisions=Revisions(backbone=backbones.revision(backbone)),
    )  # fmt: skip
    require_library(precision)
    try:
        path = initial_adaptation(spec)
    except UserError:
        return dataclasses.replace(spec, recipe=dataclasses.replace(recipe, pretrained=False))
    if path is None:
        return spec
    initial = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return dataclasses.replace(spec, revisions=dataclasses.replace(spec.revisions, initial=initial))


def fit(
    task: TextTask,
    rows: Sequence[Row],
    spec: RunSpec,
    *,
    test: Sequence[Row] | None = None,
    folds: int = FOLDS,
    progress: Progress | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> Fitted:
    """Trains on all rows, and measures accuracy on rows left out.

    Args:
        task: what the rows are examples of.
        rows: to train on, made by `task.row`.
        spec: made by `fit_spec`.
        test: rows to measure on; None to leave parts of the rows out instead, each in a training of its own.
        folds: number of those parts, and at most one a question: rows that the model reads alike are left out
            together. 0 or 1 to measure nothing.
        progress: told how far it has come.
        trainer: flags of Lightning's Trainer.

    Raises:
        UserError: two answers are the same to the backbone, or the training diverges.
    """
    everything = [*rows, *(test or ())]
    classes = [task.label(row) for row in everything]
    spec = dataclasses.replace(
        spec, shots=len(rows), revisions=dataclasses.replace(spec.revisions, data=_fingerprint(rows))
    )
    backbone = load_backbone(spec.backbone, spec.precision)
    digest = backbone_digest(backbone.model)
    encoder = PromptEncoder(task, task.templates(), backbone.tokenizer)
    encoded = encode_evaluation(encoder, everything)
    _check_answers(task, encoded[0], backbone)
    questions = [example.input_ids for example in encoded[: len(rows)]]
    parts = _parts(classes[: len(rows)], questions, len(test or ()), folds, spec.seed)

    together = len(parts)
    if not get_method(spec.method).slotted or backbone.parameters > SMALL_BACKBONE:
        together = 1
    right, device = 0, torch.device("cpu")
    for start in range(0, len(parts), together):
        group = parts[start : start + together]
        draws = [_draws(task, [rows[i] for i in part.trained], spec, backbone) for part in group]
        with _attached(spec, backbone, draws[-1], len(group)) as adaptation:
            module = TFewModule(backbone.model, adaptation, spec.recipe, task.choices)
            examples = [in_slot(encoded[i], slot) for slot, part in enumerate(group) for i in part.held_out]
            reported = _stage(progress, start, len(group), len(parts))
            right += _train(module, draws, examples, spec, reported, trainer)
            device = module.device
            content = to_bytes(adaptation, spec.method, digest, slot=len(group) - 1)
    measured = [i for part in parts for i in part.held_out]
    held_out = None
    if measured:
        share = most_frequent_share([classes[i] for i in measured])
        held_out = HeldOut(right, len(measured), 0 if test else len(parts) - 1, share)
    return Fitted(task, spec, content, digest, held_out, environment.describe(device))


def _parts(
    classes: Sequence[int], questions: Sequence[tuple[int, ...]], tests: int, folds: int, seed: int
) -> list[_Part]:
    """The trainings; the last is that on all rows."""
    all_rows = range(len(classes))
    if tests:
        return [_Part(all_rows, range(len(classes), len(classes) + tests))]
    folds = min(folds, len(set(questions)))
    if folds < 2:
        return [_Part(all_rows, ())]
    left_out = stratified_folds(classes, folds, seed, questions)
    return [*(_Part([i for i in all_rows if i not in fold], fold) for fold in left_out), _Part(all_rows, ())]


def _fingerprint(rows: Sequence[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\0")
    return digest.hexdigest()[:16]


def _check_answers(task: TextTask, example: Encoded, backbone: Backbone) -> None:
    for number, choice in enumerate(example.choices):
        if choice in example.choices[:number]:
            first = task.answers[example.choices.index(choice)]
            raise UserError(
                f"the answers {first!r} and {task.answers[number]!r} are the same tokens to backbone {backbone.name}: "
                f"rank other words in their place"
            )


def _draws(task: TextTask, rows: Sequence[Row], spec: RunSpec, backbone: Backbone) -> TrainingDraws:
    return TrainingDraws(
        PromptEncoder(task, task.templates(), backbone.tokenizer),
        rows,
        seed=spec.seed,
        steps=spec.recipe.steps,
        batch_size=spec.recipe.batch_size,
        drop_last=spec.recipe.drop_last,
    )


@contextmanager
def _attached(spec: RunSpec, backbone: Backbone, draws: TrainingDraws, slots: int) -> Iterator[Adaptation]:
    setting = Setting(
        tokenizer=backbone.tokenizer,
        batches=lambda: (collate([example]) for example in draws.each_once()),
        loss=loss_function(backbone.model, spec.recipe),
    )
    method = get_method(spec.method, spec.options)

    def attach(slots: int) -> Adaptation:
        generator = torch.Generator().manual_seed(spec.seed)
        return method.attach(backbone.model, slots=slots, generator=generator, setting=setting)

    alone = attach(1)
    adaptation = alone
    if slots > 1:  # what is drawn for several slots is other than what one alone begins with
        alone.detach()
        adaptation = attach(slots)
    try:
        if slots > 1:
            adaptation.fill([alone.state_dict()] * slots)
        path = initial_adaptation(spec)
        if path is not None:
            load_into(adaptation, path, spec.method, backbone_digest(backbone.model))
        yield adaptation
    finally:
        adaptation.detach()


def _train(
    module: TFewModule,
    draws: Sequence[TrainingDraws],
    held_out: Sequence[Encoded],
    spec: RunSpec,
    progress: Progress | None,
    trainer: Mapping[str, Any] | None,
) -> int:
    """Trains a slot on each of the draws, and returns how many held-out examples are predicted right."""
    data = TFewDataModule(draws, held_out, spec.recipe.batch_size)
    with quiet_lightning(), torch.random.fork_rng():
        lightning = make_trainer(spec.recipe, spec.precision, progress, trainer)
        torch.manual_seed(spec.seed)
        try:
            lightning.fit(module, datamodule=data)
        except DivergedError as error:
            raise UserError(f"the training diverged: {error}; try another --seed, or fewer --steps") from error
        if not held_out:
            return 0
        lightning.test(module, datamodule=data, verbose=False)
    found = module.predictions.compute()  # (rows, 5): slot, template, example, correct, predicted
    return int((found[:, 3] == found[:, 4]).sum())


def _stage(progress: Progress | None, done: int, group: int, parts: int) -> Progress | None:
    """What passes on the progress of a group of trainings as that of all; evaluation is short."""
    if progress is None:
        return None
    told = progress

    def report(stage: str, share: float) -> None:
        if stage == "training":
            told(stage, (done + share * group) / parts)

    return report
