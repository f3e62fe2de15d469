"""What determines a run."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe

ZERO_SHOT = "zero-shot"
IN_CONTEXT = "in-context"
POCKET = "pocket"
"""The generated data that ships with the package."""
HUB = "hub"
"""The real datasets, from the hub."""
PROMPT_SETTINGS = "settings"
"""The task option that names a file, of RAFT's official prompt settings."""
FOLDS = 5
"""Parts of the few-shot examples that are left out in turn, 10 of RAFT's 50 at a time (release)."""
CONTEXT_INPUT_TOKENS = 1024
"""Longest input with its context, where nobody says otherwise; T5's relative positions set no limit of their own."""
Precision = Literal["fp32", "bf16", "int8", "nf4"]
"""Of the backbone's weights; int8 and nf4 are quantized, and computed with in bf16. T5's activations overflow float16,
so there is no such choice."""
Scalar = str | int | float | bool


@dataclass(frozen=True)
class InContext:
    """In-context learning: the few-shot examples stand in the input, nothing is trained."""

    contexts: Literal["ensemble", "concatenated"] = "ensemble"
    """`ensemble`: one example a context, predictions combined over the contexts (Min et al. 2022); `concatenated`: all
    examples in one context (Brown et al. 2020)."""
    combine: Literal["product", "mean"] = "product"
    """How an ensemble combines the probabilities of a choice: multiplied, or averaged after they are normalized over
    the choices of each context."""
    order: int | None = None
    """Seed of the order of a concatenated context's examples; None for the order of the few-shot split."""
    tokens: int | None = None
    """Longest input with its context; None for 1,024, or twice the task's longest input if that is more. What does not
    fit is left out by whole examples, never cut. A causal language model's own limit counts if it is lower."""
    calibrated: bool = False
    """Contextual calibration (Zhao et al. 2021)."""
    query: Literal["encoder", "decoder"] = "encoder"
    """Where an encoder-decoder reads the query: with its context in the encoder, or in the decoder before the answer,
    so that the context is read once. A causal language model always reads its context once."""

    def __post_init__(self) -> None:
        if self.tokens is not None and self.tokens < 1:
            raise UserError(f"in_context.tokens must be at least 1, not {self.tokens}")
        if self.order is not None and self.order < 0:
            raise UserError(f"in_context.order must not be negative, not {self.order}")

    def longest_input(self, input_tokens: int, positions: int | None) -> int:
        """Most tokens of an input with its context.

        Args:
            input_tokens: of the task's longest input; a context is given as much room, or more.
            positions: that the backbone knows; None where it sets no limit.
        """
        asked = self.tokens or max(CONTEXT_INPUT_TOKENS, 2 * input_tokens)
        return asked if positions is None else min(asked, positions)

    def identity(self) -> dict[str, Any]:
        """`contexts`, and the fields that differ from their defaults and have an influence."""
        without = "order" if self.contexts == "ensemble" else "combine"
        default = InContext(self.contexts)
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name == "contexts" or (name != without and value != getattr(default, name))
        }


@dataclass(frozen=True)
class Evaluation:
    """What accuracy is measured on."""

    examples: int | None = None
    """Only the first examples of the evaluation split; None for all of them."""
    templates: int | None = None
    """Only the first templates by name; None for all of them."""
    fold: int | None = None
    """Which fifth of the few-shot examples, in the dataset's order, is left out of the training and measured on;
    None for the evaluation split."""

    def __post_init__(self) -> None:
        if self.fold is not None and not 0 <= self.fold < FOLDS:
            raise UserError(f"evaluation.fold lies from 0 to {FOLDS - 1}, not {self.fold}")
        for name in ("examples", "templates"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"evaluation.{name} must be at least 1, not {value}")


@dataclass(frozen=True)
class Revisions:
    """Digests or revisions of a run's inputs, so that a run with other inputs is another run."""

    backbone: str = ""
    data: str = ""
    initial: str = ""
    """Of the pre-trained adaptation that training starts from; empty where there is none."""


@dataclass(frozen=True)
class RunSpec:
    """Everything that determines a run. Its digest is its identity."""

    task: str
    backbone: str = "pocket-t0"
    method: str = "ia3"
    """A registered method, `zero-shot` or `in-context`."""
    seed: int = 42
    """Of the few-shot split, the order of examples and templates, and a method's initialization."""
    recipe: Recipe = field(default_factory=Recipe)
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Fields of the method's configuration that differ from its defaults."""
    task_options: Mapping[str, Scalar] = field(default_factory=dict)
    """Options of the task, such as RAFT's variant."""
    in_context: InContext = InContext()
    data: str = POCKET
    """`pocket`, `hub`, or a folder that is looked in before the hub."""
    shots: int | None = None
    """Few-shot examples; None for the task's own number."""
    evaluation: Evaluation = Evaluation()
    precision: Precision = "fp32"
    initial: str | None = None
    """File of a pre-trained adaptation to start from; None for the one known for the backbone."""
    revisions: Revisions = Revisions()

    def __post_init__(self) -> None:
        if str(self.precision) not in get_args(Precision):
            why = ": T5's activations overflow it" if str(self.precision) in ("fp16", "float16", "16") else ""
            raise UserError(f"precision is fp32 or bf16, or quantized int8 or nf4, not {self.precision}{why}")
        if self.shots is not None and self.shots < 1:
            raise UserError(f"shots must be at least 1, not {self.shots}")

    @property
    def trains(self) -> bool:
        """Whether the run trains anything."""
        return self.method not in (ZERO_SHOT, IN_CONTEXT)

    def identity(self) -> dict[str, Any]:
        """The fields on which the run's result depends. What has no influence on a run that trains nothing is left out.

        Of a run that trains, all fields count, also those that its method does not look at, such as
        `recipe.pretrained` where nothing is pre-trained, and an option that is given its default. Where files are does
        not matter, as their content is in `revisions`.
        """
        # Its nested fields are flat, so that this is `dataclasses.asdict`, ten times as fast.
        values = {key: dict(vars(value)) if dataclasses.is_dataclass(value) else value for key, value in self._items()}
        del values["initial"]
        if self.data != POCKET:
            values["data"] = HUB
        values["options"] = dict(sorted(self.options.items()))
        values["task_options"] = {k: v for k, v in sorted(self.task_options.items()) if k != PROMPT_SETTINGS}
        if not values["task_options"]:
            del values["task_options"]
        if self.evaluation.fold is None:
            del values["evaluation"]["fold"]
        if self.recipe.accumulate == 1:  # as it was before there was such a field
            del values["recipe"]["accumulate"]
        if not self.trains:
            # Ranking is all that a run without training takes from the recipe.
            values["recipe"] = {"length_normalized_ranking": self.recipe.length_normalized_ranking}
            del values["options"]
        if self.method == IN_CONTEXT:
            values["in_context"] = self.in_context.identity()
        else:
            del values["in_context"]
        if self.method == ZERO_SHOT and self.evaluation.fold is None:
            del values["seed"], values["shots"]
        return values

    def _items(self) -> Iterator[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in self.__dataclass_fields__)

    @cached_property
    def digest(self) -> str:
        """The run's identity: 16 hexadecimal digits."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def label(self) -> str:
        """The run in a few words, for a person."""
        fold = self.evaluation.fold
        seed = "" if self.method == ZERO_SHOT and fold is None else f", seed {self.seed}"
        options = "".join(f", {name} {value}" for name, value in self.task_options.items())
        left_out = "" if fold is None else f", part {fold + 1} of {FOLDS} left out"
        return f"{self.method} on {self.task}{options}{seed}{left_out} ({self.backbone})"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunSpec":
        """The spec that `dataclasses.asdict` wrote."""
        nested = {
            "recipe": Recipe,
            "in_context": InContext,
            "evaluation": Evaluation,
            "revisions": Revisions,
        }
        return cls(**{k: nested[k](**v) if k in nested else v for k, v in values.items()})
