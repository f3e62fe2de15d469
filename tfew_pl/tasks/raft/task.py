"""A RAFT task: an instruction, some of the dataset's columns, and the names of the classes as answer choices."""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up
from tfew_pl.prompts import Prompt
from tfew_pl.spec import POCKET, PROMPT_SETTINGS, Scalar
from tfew_pl.tasks.raft.settings import PromptSettings, read_settings
from tfew_pl.tasks.schema import Label, Number
from tfew_pl.tasks.task import UNLABELED, HubSource, Row, Task

UNLABELED_NAME = "Unlabeled"
"""Class 0 of every RAFT dataset; the real classes follow it."""
ID, LABEL = "ID", "Label"
"""The columns that every RAFT dataset has besides its texts."""
SHOTS = 50
"""Training examples of every task; there are no others."""
INPUT_TOKENS = 1024
"""Longest input: fields are cut at `FIELD_CHARACTERS`, and then our instructions fit beside them, 77 labels too."""
FIELD_CHARACTERS = 2048
"""Longest field, as in P3's templates."""
Variant = Literal["paper", "release"]


@dataclass(frozen=True)
class RaftTemplate:
    """The one prompt of a RAFT task: its instruction, its fields line by line, and "Label:"."""

    instruction: str
    fields: tuple[str, ...]
    """Columns, in the order in which they are shown; an empty one is left out."""
    choices: tuple[str, ...]
    labels_in_input: bool
    name: str = "instruction"
    is_random: bool = False

    def render(self, example: Mapping[str, Any], generator: random.Random) -> Prompt:
        """The prompt of an example; the target of an unlabeled one is "Unlabeled". Nothing is drawn at random.

        Raises:
            UserError: the example lacks a field.
        """
        missing = [field for field in self.fields if field not in example]
        if missing:
            raise UserError(f"the example has no {missing[0]!r}; it has {', '.join(map(repr, example))}")
        lines = [self.instruction]
        if self.labels_in_input:
            lines[0] += f" Possible labels: {', '.join(self.choices)}"
        lines += [f"{field}: {text}" for field, text in _texts(example, self.fields).items()]
        gold = read_label(example)
        target = UNLABELED_NAME if gold == UNLABELED else self.choices[gold]
        return Prompt("\n".join([*lines, "Label:"]), target, self.choices)


def _texts(row: Row, fields: Sequence[str]) -> dict[str, str]:
    """What an example says in these fields, cut to the longest; an empty one is left out."""
    texts = {field: str(row[field] or "").strip()[:FIELD_CHARACTERS] for field in fields}
    return {field: text for field, text in texts.items() if text}


def read_label(row: Row) -> int:
    """Index of a row's class among the real ones, which the dataset counts from 1."""
    return int(row[LABEL]) - 1 if row.get(LABEL) else UNLABELED


@dataclass(frozen=True, kw_only=True)
class RaftTask(Task):
    """A RAFT task.

    Options (`configured`): `variant`, which of the paper's and the release's choices to follow; `settings`, the file
    of the official instructions and field orders, in place of ours.
    """

    columns: tuple[str, ...]
    """The dataset's columns of text, in its order."""
    shown: tuple[str, ...]
    """Those that the prompt shows, in its order."""
    labels: tuple[str, ...]
    """Names of the real classes, in the dataset's order."""
    test_rows: int
    """Rows of the unlabeled test set, as the leaderboard counts them."""
    instruction: str
    """In our own words."""
    variant: Variant = "paper"
    """`paper`: labels stand in the input of Banking77 alone, which trains without L_UL (App. H). `release`: labels
    stand in every input, fields are in the dataset's order, and Banking77 trains with L_LM alone."""
    settings_digest: str = ""
    """Of the file of the official prompt settings; empty without one."""

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Banking77 trains without L_UL, whose 77 choices take much memory; in the release, without L_LN too.

        The release trains on RAFT with batches of one, eight accumulated, so that nothing is left out of a pass: it
        ends there with a step of the two examples that are left, and ours goes on into the next one.
        """
        batches: dict[str, Any] = {} if self.variant == "paper" else {"accumulate": 8, "drop_last": False}
        if self.name != "banking_77":
            return batches
        off = ("unlikelihood_weight",) if self.variant == "paper" else ("unlikelihood_weight", "length_norm_weight")
        return {**batches, **dict.fromkeys(off, 0.0)}

    @property
    def revision(self) -> str:
        """Of the official prompt settings, where they are used."""
        return self.settings_digest

    @property
    def _order(self) -> tuple[str, ...]:
        """The fields that are shown, in the variant's order."""
        if self.variant == "release":
            return tuple(column for column in self.columns if column in self.shown)
        return self.shown

    def text(self, row: Row) -> str:
        """The fields of the prompt line by line, without their names and the instruction."""
        return "\n".join(_texts(row, self._order).values())

    def templates(self) -> list[RaftTemplate]:
        """The one template."""
        # Banking77's names are words joined by underscores.
        choices = tuple(label.replace("_", " ") for label in self.labels)
        labels_in_input = self.variant == "release" or self.name == "banking_77"
        return [RaftTemplate(self.instruction, self._order, choices, labels_in_input)]

    def configured(self, data: str, options: Mapping[str, Scalar]) -> "RaftTask":
        """The task on a source of data: the pocket world has an instruction and classes of its own.

        Raises:
            UserError: an option is unknown or does not fit, or the settings cannot be read.
        """
        known = {"variant": None, PROMPT_SETTINGS: None}
        for option in options:
            look_up(f"option of task {self.name}", option, known)
        variant = options.get("variant", self.variant)
        if variant not in get_args(Variant):
            raise UserError(f"task {self.name}: variant is {' or '.join(get_args(Variant))}, not {variant}")
        changes: dict[str, Any] = {"variant": variant}
        settings = options.get(PROMPT_SETTINGS)
        if settings is not None:
            if data == POCKET:
                raise UserError(f"task {self.name}: the official prompt settings are not for the pocket data")
            changes |= self._settled(read_settings(Path(str(settings))), str(settings))
        if data == POCKET:
            from tfew_pl.pocket.raft import TASKS

            stand_in = TASKS[self.name]
            changes |= {"instruction": stand_in.instruction, "labels": stand_in.labels}
        return dataclasses.replace(self, **changes)

    def _settled(self, settings: PromptSettings, where: str) -> dict[str, Any]:
        if self.name not in settings.instructions or self.name not in settings.fields:
            raise UserError(f"{where}: it says nothing of the task {self.name}")
        fields = settings.fields[self.name]
        unknown = [field for field in fields if field not in self.columns]
        if unknown:
            raise UserError(f"{where}: task {self.name} has no column {unknown[0]!r}; it has {', '.join(self.columns)}")
        return {
            "instruction": settings.instructions[self.name],
            "shown": fields,
            "settings_digest": settings.digest,
        }


def raft_task(
    name: str,
    title: str,
    *,
    columns: tuple[str, ...],
    labels: tuple[str, ...],
    test_rows: int,
    instruction: str,
    shown: tuple[str, ...] | None = None,
) -> RaftTask:
    """A RAFT task with what all of them share.

    Args:
        name: as the dataset calls it.
        title: as the paper's Table 11 calls it.
        columns: the dataset's columns of text, in its order.
        labels: names of the real classes.
        test_rows: rows of the test set.
        instruction: in our own words.
        shown: the columns that the prompt shows, in its order; all if left out.
    """
    return RaftTask(
        name=name,
        title=title,
        family="RAFT",
        templates_of=("ought/raft", name),
        fields=(*columns, ID, LABEL),
        content=columns,
        label=read_label,
        choices=len(labels),
        shots=SHOTS,
        # Of a loading script, which nobody runs any more, the hub keeps what it gave as Parquet on a branch of its own.
        hub=HubSource(
            "ought/raft", name, "train", "test", revision="refs/convert/parquet", absent={LABEL: UNLABELED_NAME}
        ),
        types={ID: Number(), LABEL: Label((UNLABELED_NAME, *labels))},
        metric="macro-f1",
        labeled=False,
        input_tokens=INPUT_TOKENS,
        columns=columns,
        shown=shown or columns,
        labels=labels,
        test_rows=test_rows,
        instruction=instruction,
    )
