import random
from typing import Any

import pytest

from tfew_pl.errors import UserError
from tfew_pl.icl import CONTENT_FREE
from tfew_pl.prompts import Prompt
from tfew_pl.userdata.task import TextTask, define, read_label

VALUES = {"text": "so it is", "Other Text": "{{ 7 * 7 }}", "n": 4, "label": "b"}


def make(labels: Any = ("b", "a"), **values: Any) -> TextTask:
    defaults = {"text": "text", "label": "label", "where": "t.csv"}
    return define("t", ["text", "Other Text", "n", "label"], list(labels), **{**defaults, **values})


def render(task: TextTask, **values: Any) -> Prompt:
    found = task.templates()[0].render(task.row({**VALUES, **values}, "here"), random.Random(0))
    assert found is not None
    return found


def test_the_default_question_lists_the_labels_before_the_text() -> None:
    task = make(["c", "a", "b", "a"])
    assert task.classes == ("a", "b", "c")
    assert render(task) == Prompt("What label best describes this text: a, b or c?\nso it is", "a", ("a", "b", "c"))
    assert dict(task.columns) == {"text": "text"}


def test_many_labels_are_not_listed() -> None:
    assert render(make([*range(21)] * 2)).input == "What label best describes this text?\nso it is"


def test_any_column_may_hold_the_text() -> None:
    task = make(text="Other Text")
    assert dict(task.columns) == {"text": "Other Text"}
    assert render(task).input.endswith("\n{{ 7 * 7 }}"), "what a cell holds is text, not a template"


def test_a_template_sees_every_column_by_name() -> None:
    task = make(template="{{ text }} {{ Other_Text }} {{ n / 8 }}")
    assert render(task).input == "so it is {{ 7 * 7 }} 0.5"
    assert dict(task.columns) == {"text": "text", "Other_Text": "Other Text", "n": "n"}
    assert render(task, **{"Other Text": None}).input == "so it is  0.5"


def test_the_label_is_an_index_of_the_sorted_classes() -> None:
    task = make()
    assert [task.label(task.row(VALUES, "here", label)) for label in ("a", "b")] == [0, 1]
    assert task.label(make([3, 1]).row(VALUES, "here", "3")) == 1, "a test table may hold it as text"
    with pytest.raises(UserError, match="here: label 'c' is none of those trained on: a, b"):
        task.row(VALUES, "here", "c")


def test_answers_stand_for_labels() -> None:
    task = make([0, 1], answers={"0": "not so", "1": "just so"})
    assert render(task).choices == ("not so", "just so")
    assert task.classes == (0, 1)


def test_what_looks_like_jinja_in_a_label_is_text() -> None:
    assert render(make(["{{ text }}", "{% x %}"])).choices == ("{% x %}", "{{ text }}")


@pytest.mark.parametrize("text", CONTENT_FREE)
def test_a_question_without_the_row_s_own_text(text: str) -> None:
    """A column by which the template decides what to say stays, and so does a number."""
    template = (
        "{% if Other_Text == 'x' %}Short{% else %}Long{% endif %}: {{ text }}, {{ n + 1 }}? {{ text.split()[-1:] }}"
    )
    task = make(template=template)
    row = task.row({**VALUES, "Other Text": "x"}, "here")
    free = task.templates()[0].render(task.content_free(row, text), random.Random(0))
    assert free == Prompt(f"Short: {text}, 5? {text.split()}", "a", ("a", "b"))


def test_it_is_the_same_after_json() -> None:
    task = make([True, False], template="{{ text }} {{ n }}?", answers={"True": "yes"})
    assert TextTask.from_json(task.to_json()) == task


@pytest.mark.parametrize(
    ("value", "label"),
    [(" a b ", "a b"), (3, 3), (True, True), (3.0, 3), ("3.0", "3.0"), ("none", "none"), ("NA", "NA")],
)
def test_labels(value: Any, label: Any) -> None:
    found = read_label(value, "here")
    assert found == label
    assert type(found) is type(label)


@pytest.mark.parametrize("value", ["", "  ", None, float("nan"), "NaN", 0.5, b"a", ["a"], {"a": 1}, "a ||| b"])
def test_what_is_no_label(value: Any) -> None:
    with pytest.raises(UserError, match=r"^here"):
        read_label(value, "here")
