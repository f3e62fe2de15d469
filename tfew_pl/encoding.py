"""From a task's example and a template to token ids, and from those to a padded batch."""

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

from tfew_pl.choices import ChoiceBatch
from tfew_pl.errors import UserError
from tfew_pl.prompts import PromptTemplate
from tfew_pl.tasks.task import INPUT_TOKENS, UNLABELED, Row, Task

END_OF_INPUT = "\n"
"""Between an input and its answer, where both are one text."""


@dataclass(frozen=True)
class Encoded:
    """An input with its answer choices as token ids, each ending in EOS."""

    input_ids: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]
    gold: int
    template: int = 0
    example: int = 0
    context: int = 0
    """Which few-shot example stands before the input, in in-context learning."""
    slot: int = 0
    kept: tuple[int, ...] | None = None
    """The context before the input, where the backbone reads it apart and once; None where the input has it all."""
    offsets: tuple[float, ...] = ()
    """What calibration takes from each choice's score; nothing if empty."""

    @property
    def tokens(self) -> int:
        """Tokens of the input and of all choices."""
        return len(self.input_ids) + sum(map(len, self.choices))


class Query(NamedTuple):
    """An example through a template, its choices as token ids."""

    input: str
    choices: tuple[tuple[int, ...], ...]
    gold: int


def in_slot(example: Encoded, slot: int) -> Encoded:
    """The example for another slot."""
    return example if example.slot == slot else dataclasses.replace(example, slot=slot)


def tokenize(
    tokenizer: PreTrainedTokenizerBase, text: str, longest: int | None = INPUT_TOKENS, *, special: bool = True
) -> tuple[int, ...]:
    """Token ids of a text, cut to the longest length: the last token stays, which is EOS or the end of a line.

    Args:
        tokenizer: what it appends comes last.
        text: any.
        longest: tokens; None to leave the text uncut.
        special: whether the tokenizer adds its tokens for the start and the end of a text.
    """
    ids = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
    return tuple(ids if longest is None or len(ids) <= longest else [*ids[: longest - 1], ids[-1]])


class PromptEncoder:
    """Renders a task's examples through its templates and tokenizes them, each pair once.

    Args:
        task: whose label and name are used.
        templates: what an example can be rendered with.
        tokenizer: of the backbone; an encoder-decoder's appends EOS.
        input_tokens: inputs are cut to this length, EOS kept; the task's own limit if left out.
        causal: whether the backbone is a causal language model, which reads an answer behind its input.
        positions: most tokens of an input and an answer that it knows; None where it sets no limit.
    """

    def __init__(
        self,
        task: Task,
        templates: Sequence[PromptTemplate],
        tokenizer: PreTrainedTokenizerBase,
        input_tokens: int | None = None,
        causal: bool = False,
        positions: int | None = None,
    ) -> None:
        self.task = task
        self.templates = list(templates)
        self._tokenizer = tokenizer
        self.input_tokens = input_tokens or task.input_tokens
        self._causal = causal
        self._positions = positions
        self._ids: dict[str, tuple[int, ...]] = {}
        self._encoded: dict[tuple[int, int], Encoded] = {}

    def tokenize(self, text: str, longest: int | None = None) -> tuple[int, ...]:
        """Token ids of a text, EOS at the end; cut to the longest input or to another length, the last token kept."""
        return tokenize(self._tokenizer, text, longest or self.input_tokens)

    def pieces(self, text: str, longest: int | None = None) -> tuple[int, ...]:
        """The same of a text in the middle of another: nothing before or behind it."""
        return tokenize(self._tokenizer, text, longest or self.input_tokens, special=False)

    def length(self, text: str, *, special: bool = True) -> int:
        """Tokens of a text, uncut."""
        return len(tokenize(self._tokenizer, text, None, special=special))

    def _choice(self, text: str) -> tuple[int, ...]:
        if text not in self._ids:
            self._ids[text] = self.pieces(text) if self._causal else self.tokenize(text)
        return self._ids[text]

    def encode(self, row: Row, example: int, template: int, generator: random.Random) -> Encoded:
        """An example through a template.

        Args:
            row: the example.
            example: its index, which with the template identifies the pair.
            template: index of the template.
            generator: for templates that draw at random; such are rendered anew at each call.

        Raises:
            UserError: the template gives no answer choices or no target, the label is none of the choices, or a choice
                is longer than what the backbone reads.
        """
        key = (example, template)
        if key not in self._encoded or self.templates[template].is_random:
            text, choices, gold = self.render(row, example, template, generator)
            if self._causal:
                ids, kept = self.tokenize(text + END_OF_INPUT, self._before(choices)), ()
            else:
                ids, kept = self.tokenize(text), None
            self._encoded[key] = Encoded(ids, choices, gold, template, example, kept=kept)
        return self._encoded[key]

    def _before(self, choices: Sequence[Sequence[int]]) -> int:
        """Most tokens of an input before the longest of its choices."""
        if self._positions is None:
            return self.input_tokens
        longest = max(map(len, choices))
        if longest >= self._positions:
            raise UserError(
                f"task {self.task.name}: an answer has {longest} tokens, and the backbone reads {self._positions} with "
                f"the question before it"
            )
        return min(self.input_tokens, self._positions - longest)

    def render(self, row: Row, example: int, template: int, generator: random.Random) -> Query:
        """An example through a template, its input as text; arguments and errors as for `encode`."""
        chosen = self.templates[template]
        prompt = chosen.render(row, generator)
        where = f"task {self.task.name}, example {example}, template {chosen.name!r}"
        if prompt is None or prompt.choices is None:
            missing = "target" if prompt is None else "answer choices"
            raise UserError(f"{where}: the template has no {missing}")
        gold = self.task.label(row)
        if not 0 <= gold < len(prompt.choices) and (gold != UNLABELED or self.task.labeled):
            raise UserError(f"{where}: label {gold}, but there are {len(prompt.choices)} answer choices")
        return Query(prompt.input, tuple(map(self._choice, prompt.choices)), gold)


def _pad(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids -> (rows, longest) ids with zeros behind, and where there is a token."""
    width = max(map(len, rows))
    ids = torch.tensor([(*row, *[0] * (width - len(row))) for row in rows], dtype=torch.long)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(width) < lengths[:, None]


def collate(examples: Sequence[Encoded]) -> ChoiceBatch:
    """Examples as one padded batch; they may have different numbers of choices, but not different kept contexts."""
    input_ids, input_mask = _pad([e.input_ids for e in examples])
    most = max(len(e.choices) for e in examples)
    ids, mask = _pad([c for e in examples for c in (*e.choices, *[()] * (most - len(e.choices)))])
    slots = torch.tensor([e.slot for e in examples])
    first: dict[object, int] = {}
    twins = [first.setdefault((e.input_ids, e.slot), place) for place, e in enumerate(examples)]
    kept, offsets = examples[0].kept, [(*e.offsets, *[0.0] * (most - len(e.offsets))) for e in examples]
    return ChoiceBatch(
        input_ids=input_ids,
        input_mask=input_mask,
        choice_ids=ids.view(len(examples), most, -1),
        choice_mask=mask.view(len(examples), most, -1),
        gold=torch.tensor([e.gold for e in examples]),
        key=torch.tensor([(e.template, e.example, e.context) for e in examples]),
        slot=slots if slots.any() else None,
        kept=None if kept is None else torch.tensor(kept, dtype=torch.long),
        offset=torch.tensor(offsets) if any(e.offsets for e in examples) else None,
        twin=torch.tensor(twins) if len(first) < len(examples) else None,
    )
