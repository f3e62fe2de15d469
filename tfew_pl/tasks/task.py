"""What a task is: its dataset, its fields, its templates, its few-shot size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tfew_pl.errors import UserError
from tfew_pl.prompts import PromptTemplate, load_templates
from tfew_pl.tasks.schema import FieldType

Row = Mapping[str, Any]
"""An example: a dataset's fields by name."""
INPUT_TOKENS = 256
"""Longest input, EOS included (release)."""
UNLABELED = -1
"""In the place of a label that the dataset keeps to itself."""


@dataclass(frozen=True)
class HubSource:
    """Where the hub keeps a dataset."""

    id: str
    """The dataset's id."""
    config: str | None
    """Its configuration."""
    train_split: str = "train"
    """The split from which the few-shot examples are drawn."""
    evaluation_split: str = "validation"
    """The split on which accuracy is reported."""
    revision: str | None = None
    """Pinned commit; a branch that moves where the hub has nothing else to pin."""
    folder: str | None = None
    """Of the repository, with its Parquet files; called like the configuration if left out."""
    by_hand: str | None = None
    """What a user must do to get it, where the hub does not give it out."""
    by_hand_files: Mapping[str, str] = field(default_factory=dict)
    """Split -> the name of its file as its authors give it out."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Heading in the authors' files -> field of the dataset."""
    absent: Mapping[str, object] = field(default_factory=dict)
    """Field -> what stands for it in a file of the evaluation split that has no such column."""

    def patterns(self, split: str) -> list[str]:
        """Where a split's files are in the repository."""
        folder = self.folder or self.config
        return [f"{folder}/{split}-*.parquet", f"{folder}/{split}/*.parquet"]


@dataclass(frozen=True)
class Task:
    """A classification task that is solved by ranking answer choices."""

    name: str
    """How the command line calls it."""
    title: str
    """How the paper's tables call it."""
    family: str
    """One of T0's task families (Sanh et al. 2022)."""
    templates_of: tuple[str, str | None]
    """Dataset and subset under which promptsource keeps the templates."""
    fields: tuple[str, ...]
    """The fields that the templates and the label need."""
    content: tuple[str, ...]
    """Those that hold the example's own text, for which calibration puts one that says nothing (Zhao et al. 2021). Not
    what answer choices are made of, nor what a template decides by what to say."""
    label: Callable[[Row], int]
    """Index of the correct choice; `UNLABELED` where the dataset does not tell."""
    choices: int
    """Number of answer choices."""
    shots: int
    """Few-shot examples (Brown et al. 2020; paper, Section 3.1)."""
    hub: HubSource
    """Where the real data is."""
    types: Mapping[str, FieldType] = field(default_factory=dict)
    """Of the fields that are no plain texts."""
    first_templates: int | None = None
    """Keep only the first templates by name: the others render no target for half of the examples."""
    metric: Literal["accuracy", "macro-f1"] = "accuracy"
    """What is reported of it."""
    labeled: bool = True
    """Whether the evaluation examples of the hub have labels."""
    input_tokens: int = INPUT_TOKENS
    """Inputs are cut to this length."""

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / self.choices

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Fields of the recipe that are set for this task; explicit values win. Here, none."""
        return {}

    @property
    def revision(self) -> str:
        """Digest of what the prompts are made of besides code and data. Here, nothing."""
        return ""

    def configured(self, data: str, options: Mapping[str, Any]) -> "Task":
        """The task as it is asked on a source of data, with options of its own. Here, it has none.

        Raises:
            UserError: it has no such option, or its value does not fit.
        """
        if options:
            raise UserError(f"task {self.name} has no option {', '.join(options)}")
        return self

    def content_free(self, row: Row, text: str) -> Row:
        """An example with another text in the place of each of its own; where it has none, it gets none."""
        return {**row, **{field: text for field in self.content if row[field] and isinstance(row[field], str)}}

    def text(self, row: Row) -> str:
        """An example as a text without a prompt, which a text classifier reads. Here, there is none.

        Raises:
            UserError: the answer choices differ between examples, or mean nothing without a prompt.
        """
        raise UserError(f"task {self.name}: it has no classes of its own that a text classifier could learn; RAFT's do")

    def templates(self) -> Sequence[PromptTemplate]:
        """The templates marked as the dataset's original task, by name."""
        templates = [t for t in load_templates(*self.templates_of) if t.original_task]
        return templates[: self.first_templates]
