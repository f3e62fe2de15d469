"""A user's rows as a task: a question made of their columns, answered by one of their labels."""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up
from tfew_pl.prompts import SEPARATOR, Template
from tfew_pl.tasks.task import HubSource, Row, Task
from tfew_pl.userdata.table import Values

Label = str | int | bool
"""As the table holds it: text in a CSV, a number or a truth value elsewhere."""

LISTED_ANSWERS = 20
"""The default question lists the answers up to this number; more would leave no room for the text."""
_ASK = "What label best describes this text"
_LISTED = ': {{ answer_choices[:-1] | join(", ") }} or {{ answer_choices[-1] }}'
TEXT = "text"
"""What a template calls the column of texts, whatever its own name."""
_GOLD_FIELD, _ANSWERS_FIELD = "_gold", "_answers"
"""What an example holds besides the question's fields."""
_TARGET = f" {SEPARATOR} {{{{ answer_choices[{_GOLD_FIELD}] }}}}"


def _gold(row: Row) -> int:
    index: int = row[_GOLD_FIELD]
    return index


@dataclass(frozen=True, kw_only=True)
class TextTask(Task):
    """A classification of a user's own rows.

    No dataset of the hub stands behind it, and its one template is made here. `define` makes one.
    """

    question: str
    """Jinja for the input."""
    columns: Mapping[str, str]
    """The column behind each field of the question."""
    classes: tuple[Label, ...]
    """The labels, sorted; an example's gold choice is an index of them."""
    answers: tuple[str, ...]
    """What is ranked for each class."""
    text_column: str | None
    """The column of texts, which must not be empty; None where the question does not use it."""

    def templates(self) -> list[Template]:
        """The one template: the question, and the answers as its choices."""
        choices = f'{{{{ {_ANSWERS_FIELD} | join("{SEPARATOR}") }}}}'
        return [Template("question", self.question + _TARGET, choices, cuts_fields=False)]

    def row(self, values: Values, where: str, label: Label | None = None) -> Row:
        """An example from a row of a table.

        Args:
            values: by column.
            where: the row's place, for a message.
            label: its class; None for a row to predict.

        Raises:
            UserError: the row has no text, or a label that is none of the classes.
        """
        found = {field: values[column] for field, column in self.columns.items()}
        for field, value in found.items():
            if self.columns[field] == self.text_column:
                _check_text(value, f"{where}: column {self.columns[field]!r}")
            elif is_missing(value):
                found[field] = ""
        names = [str(known) for known in self.classes]
        if label is not None and str(label) not in names:
            raise UserError(f"{where}: label {label!r} is none of those trained on: {', '.join(names)}")
        gold = 0 if label is None else names.index(str(label))
        return {**found, _ANSWERS_FIELD: self.answers, _GOLD_FIELD: gold}

    def check_columns(self, columns: Sequence[str], where: str) -> None:
        """Refuses a table that lacks a column of the question.

        Raises:
            UserError: it does; the message names the nearest.
        """
        for column in self.columns.values():
            find_column(column, columns, where)

    def check_rendering(self, row: Row, where: str) -> str:
        """The row's question as the model will read it.

        Raises:
            UserError: it cannot be rendered, or is empty.
        """
        try:
            prompt = self.templates()[0].render(row, random.Random(0))
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        if prompt is None or not prompt.input:
            raise UserError(f"{where}: the template gives an empty question")
        return prompt.input

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs."""
        return {
            "name": self.name,
            "question": self.question,
            "columns": dict(self.columns),
            "classes": list(self.classes),
            "answers": list(self.answers),
            "text": self.text_column,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TextTask":
        """The task that `to_json` described.

        Raises:
            KeyError, TypeError, ValueError: the values are not such a description.
        """
        classes, answers = tuple(values["classes"]), tuple(values["answers"])
        columns = dict(values["columns"])
        text = values.get("text", columns.get(TEXT))  # as fits had it that do not say
        texts = (values["name"], values["question"], *columns, *columns.values(), *answers, text or "")
        if not all(isinstance(text, str) for text in texts) or len(answers) != len(classes) or len(classes) < 2:
            raise ValueError("not a task")
        return _task(values["name"], values["question"], columns, classes, answers, text)


def _task(
    name: str,
    question: str,
    columns: Mapping[str, str],
    classes: tuple[Label, ...],
    answers: tuple[str, ...],
    text: str | None,
) -> TextTask:
    tested = Template("question", question, None).tested
    return TextTask(
        name=name,
        title=name,
        family="text classification",
        templates_of=("", None),
        fields=tuple(columns),
        content=tuple(field for field in columns if field not in tested),
        label=_gold,
        choices=len(classes),
        shots=0,
        hub=HubSource("", None),
        question=question,
        columns=columns,
        classes=classes,
        answers=answers,
        text_column=text,
    )


def find_column(column: str, columns: Sequence[str], where: str) -> str:
    """The column, if the table has it.

    Raises:
        UserError: it has not; the message names the nearest.
    """
    try:
        return look_up("column", column, {name: name for name in columns})
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: None, no character, no number, or what pandas has for that."""
    if value is None or (isinstance(value, str) and not value) or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ == "NAType"  # pandas', which refuses to be compared


def _check_text(value: object, where: str) -> None:
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        raise UserError(f"{where} has no text")
    if not isinstance(value, str | int | float | bool):
        raise UserError(f"{where} holds {type(value).__name__}, not text")


def read_label(value: object, where: str) -> Label:
    """A cell as a label; texts lose white space around them.

    Args:
        value: of the cell.
        where: its place, for a message.

    Raises:
        UserError: there is none, or it is no label.
    """
    label = value.strip() if isinstance(value, str) else value
    if is_missing(label) or (isinstance(label, str) and label.lower() == "nan"):
        raise UserError(f"{where} has no label")
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # a column of whole numbers with a gap, as pandas writes it
    if not isinstance(label, str | int | bool):
        raise UserError(f"{where}: {label!r} is no label; labels are texts, whole numbers or true and false")
    if SEPARATOR in str(label):
        raise UserError(f"{where}: a label must not hold {SEPARATOR!r}")
    return label


def define(
    name: str,
    columns: Sequence[str],
    labels: Sequence[Label],
    *,
    text: str,
    label: str,
    template: str | None = None,
    answers: Mapping[str, str] | None = None,
    where: str,
) -> TextTask:
    """The task of a user's rows.

    Args:
        name: of the task.
        columns: of the table.
        labels: of all training rows.
        text: the column of texts, which a template calls `text`.
        label: the column of labels.
        template: Jinja for the question; it sees every column but the labels' by its name, in which anything but
            letters, digits and `_` has become `_`. None for one that asks for the best label and lists them.
        answers: what is ranked in place of a label's own name, by that name.
        where: the table, for a message.

    Raises:
        UserError: there are no two classes, a column is unknown, or the template or the answers do not fit.
    """
    classes = _classes(labels, f"{where}: column {label!r}")
    words = _answers(classes, answers or {})
    if template is None:
        listed = _LISTED if len(classes) <= LISTED_ANSWERS else ""
        template = f"{_ASK}{listed}?\n{{{{ {TEXT} }}}}"
    elif SEPARATOR in template:
        raise UserError(f"the template is the question alone, without {SEPARATOR!r}: the answers are the labels")
    known = {re.sub(r"\W", "_", column): column for column in columns} | {column: column for column in columns}
    if text in columns:
        known[TEXT] = text
    asked = Template("template", template, None)
    for name_of_ours in sorted(asked.mentioned & {_GOLD_FIELD, _ANSWERS_FIELD}):
        raise UserError(f"the template mentions {name_of_ours}, which no question may")
    for taken in sorted((asked.mentioned - asked.fields) & known.keys()):
        raise UserError(f"the template mentions {taken}, which in templates is not the column; rename the column")
    fields = {}
    for field in sorted(asked.fields):
        if field == TEXT and TEXT not in known:
            find_column(text, columns, where)
        same = [column for column in columns if re.sub(r"\W", "_", column) == field]
        if len(same) > 1 and known.get(field) in same and field not in columns:
            raise UserError(
                f"the template's {field} may be any of the columns {', '.join(map(repr, same))}; rename one"
            )
        fields[field] = look_up("column", field, known) if field in known else _no_field(field, known)
        if fields[field] == label:
            raise UserError(f"the question uses the column of labels, {label!r}, which rows to predict do not have")
    if not fields:
        raise UserError("the template mentions no column: every question would be the same")
    return _task(name, template, fields, classes, words, text if text in fields.values() else None)


def _no_field(field: str, known: Mapping[str, str]) -> str:
    try:
        return look_up("field", field, known)
    except UserError as error:
        raise UserError(f"the template: {error}") from error


def _classes(labels: Sequence[Label], where: str) -> tuple[Label, ...]:
    kinds = {type(label) for label in labels}
    if len(kinds) > 1:
        raise UserError(f"{where} holds labels of several kinds: {', '.join(sorted(kind.__name__ for kind in kinds))}")
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise UserError(f"{where} holds one class only, {classes[0]!r}: there is nothing to tell apart")
    if len(labels) >= 10 and len(classes) > len(labels) / 2:
        raise UserError(f"{where} holds {len(classes)} different labels in {len(labels)} rows: is it the right column?")
    return classes


def _answers(classes: Sequence[Label], given: Mapping[str, str]) -> tuple[str, ...]:
    names = {str(label): str(label) for label in classes}
    for name in given:
        look_up("label", name, names)
    answers = tuple(given.get(name, name).strip() for name in names)
    if "" in answers:
        raise UserError(f"the answer for label {list(names)[answers.index('')]!r} is empty")
    for number, answer in enumerate(answers):
        if SEPARATOR in answer or answer.endswith(SEPARATOR[0]):
            raise UserError(f"an answer must not hold {SEPARATOR!r} or end with {SEPARATOR[0]!r}: {answer!r}")
        if answer in answers[:number]:
            first = list(names)[answers.index(answer)]
            raise UserError(f"labels {first!r} and {list(names)[number]!r} have the same answer, {answer!r}")
    return answers
