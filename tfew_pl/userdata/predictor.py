"""Predicting rows of one or several fitted tasks: mixed-task batches on one backbone (Section 2.1)."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from safetensors.torch import load
from torch import Tensor

from tfew_pl import backbones
from tfew_pl.adaptation_file import backbone_digest
from tfew_pl.backbones import Backbone, load_backbone
from tfew_pl.datamodule import EvaluationBatches, evaluation_generator
from tfew_pl.encoding import Encoded, PromptEncoder, collate
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation
from tfew_pl.module import TFewModule, loss_function
from tfew_pl.quantization import require_library
from tfew_pl.registry import get_method
from tfew_pl.setting import Setting
from tfew_pl.tasks.task import Row
from tfew_pl.userdata.fitted import Fitted


def check_together(fitted: Mapping[str, Fitted], backbone: str | None = None) -> str:
    """Refuses tasks that cannot share batches, or whose backbone is not the one they were trained on.

    Args:
        fitted: the tasks, by name.
        backbone: where it is now, if not where it was; None for where it was.

    Returns:
        The backbone's name.

    Raises:
        UserError: they differ in backbone, method, options or ranking, or the method has no slots; no weight has been
            loaded.
    """
    (first, one), *others = fitted.items()
    for name, other in others:
        for what in ("method", "options", "precision"):
            values = [getattr(spec, what) for spec in (one.spec, other.spec)]
            if values[0] != values[1]:
                raise UserError(f"{first} and {name} cannot share batches: {what} {values[0]} and {values[1]}")
        if one.spec.revisions.backbone != other.spec.revisions.backbone:
            raise UserError(f"{first} and {name} cannot share batches: they were trained on different backbones")
        if one.spec.recipe.length_normalized_ranking != other.spec.recipe.length_normalized_ranking:
            raise UserError(f"{first} and {name} cannot share batches: only one of them ranks by normalized scores")
    if others and not get_method(one.spec.method, one.spec.options).slotted:
        raise UserError(
            f"method {one.spec.method} changes weights, which a batch shares: predict with one folder at a time"
        )
    chosen = backbone or one.spec.backbone
    require_library(one.spec.precision)
    try:
        found = backbones.revision(chosen)
    except UserError as error:
        raise UserError(f"{first} was trained on backbone {one.spec.backbone}: {error}") from error
    if found != one.spec.revisions.backbone:
        raise UserError(
            f"{first} was trained on other weights than those of backbone {chosen} ({one.spec.revisions.backbone}, "
            f"not {found}): say where they are with --backbone"
        )
    return chosen


class Predictor:
    """Scores rows of several tasks, each through the slot of its task; `predicting` makes one.

    Args:
        backbone: with the tasks' adaptations attached.
        adaptation: with a slot a task, in their order.
        fitted: the tasks.
    """

    def __init__(self, backbone: Backbone, adaptation: Adaptation, fitted: Sequence[Fitted]) -> None:
        self._backbone = backbone
        self._fitted = fitted
        spec = fitted[0].spec
        self._bf16 = spec.precision != "fp32"
        self._normalized = spec.recipe.length_normalized_ranking
        self._module = TFewModule(backbone.model, adaptation, spec.recipe, max(one.task.choices for one in fitted))
        self._module.to("cuda" if torch.cuda.is_available() else "cpu")

    def scores(self, rows: Sequence[tuple[int, Row]], first: int = 0) -> list[list[float]]:
        """The score of every choice of every row.

        Args:
            rows: each with its task's number.
            first: number of the first row among all, for templates that draw at random.

        Returns:
            By row: log-probabilities of the choices, divided by their numbers of tokens where the recipe does so.
        """
        tokenizer = self._backbone.tokenizer
        encoders = [PromptEncoder(one.task, one.task.templates(), tokenizer) for one in self._fitted]
        encoded: list[Encoded] = []
        for number, (task, row) in enumerate(rows):
            generator = evaluation_generator(0, first + number)
            example = encoders[task].encode(row, number, 0, generator)
            encoded.append(dataclasses.replace(example, slot=task))
        found: list[list[float]] = [[] for _ in rows]
        batches, device = EvaluationBatches(encoded), self._module.device
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            for batch in map(batches.__getitem__, range(len(batches))):
                scores = self._module.score(batch.to(device)).total(batch.choice_mask.to(device), self._normalized)
                for (_, number, _), values in zip(batch.key.tolist(), scores.float().tolist(), strict=True):
                    found[number] = values[: len(encoded[number].choices)]
        return found


@contextmanager
def predicting(fitted: Mapping[str, Fitted], backbone: str | None = None) -> Iterator[Predictor]:
    """A predictor of these tasks; the backbone is as it was afterwards.

    Args:
        fitted: the tasks, by name; `Predictor.scores` numbers them in this order.
        backbone: where it is now, if not where it was.

    Raises:
        UserError: see `check_together`; or an adaptation does not fit the backbone.
    """
    loaded = load_backbone(check_together(fitted, backbone), next(iter(fitted.values())).spec.precision)
    adaptation = attach(fitted, loaded)
    try:
        yield Predictor(loaded, adaptation, list(fitted.values()))
    finally:
        adaptation.detach()


def attach(fitted: Mapping[str, Fitted], backbone: Backbone) -> Adaptation:
    """The tasks' adaptations as slots of one, on the backbone.

    Raises:
        UserError: one of them does not fit the backbone.
    """
    one = next(iter(fitted.values()))
    choices = tuple(tuple(backbone.tokenizer(answer)["input_ids"]) for answer in one.task.answers)
    batch = collate([Encoded(choices[0], choices, gold=0)])  # a method may ask for one, though nothing is trained
    setting = Setting(backbone.tokenizer, lambda: iter([batch]), loss_function(backbone.model, one.spec.recipe))
    method = get_method(one.spec.method, one.spec.options)
    adaptation = method.attach(backbone.model, slots=len(fitted), generator=torch.Generator(), setting=setting)
    try:
        adaptation.load_stored(_bank(fitted, adaptation, backbone_digest(backbone.model)))
    except BaseException:
        adaptation.detach()
        raise
    return adaptation


def _bank(fitted: Mapping[str, Fitted], adaptation: Adaptation, digest: str) -> dict[str, Tensor]:
    own = adaptation.stored()
    slots = []
    for name, one in fitted.items():
        if one.backbone_digest != digest:
            raise UserError(f"{name}: made for backbone {one.backbone_digest}, but this backbone is {digest}")
        tensors = load(one.adaptation)
        if set(tensors) != set(own):
            raise UserError(f"{name}: its tensors are not those of {one.spec.method} on this backbone")
        for key, tensor in tensors.items():
            expected = (1, *own[key].shape[1:]) if adaptation.slots > 1 else tuple(own[key].shape)
            if tuple(tensor.shape) != expected:
                raise UserError(f"{name}: {key} is {tuple(tensor.shape)}, expected {expected}")
        slots.append(tensors)
    return {key: torch.cat([tensors[key] for tensors in slots]).to(own[key].device) for key in own}
