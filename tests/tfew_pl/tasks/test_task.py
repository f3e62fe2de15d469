"""What a task says of its fields, against every template of every task."""

import random
import re

import pytest

from tfew_pl.icl import CONTENT_FREE
from tfew_pl.prompts import Template, load_templates
from tfew_pl.tasks import RAFT_TASKS, TASKS, Task, get_task
from tfew_pl.tasks.data import load_data


def _words(*values: object) -> set[str]:
    return set(re.findall(r"\w+", " ".join(map(str, values)).lower()))


@pytest.mark.parametrize("name", [*TASKS, *RAFT_TASKS])
@pytest.mark.parametrize("text", CONTENT_FREE)
def test_templates_without_an_example_s_own_text(name: str, text: str) -> None:
    """What the example says goes; the template's words and the choices stay."""
    task = get_task(name).configured("pocket", {})
    for template in task.templates():
        for number, row in enumerate(load_data(name, "pocket").evaluation[:12]):
            own = [str(row[field]) for field in task.content]
            shown = template.render(row, random.Random(number))
            left = template.render(task.content_free(row, text), random.Random(number))
            assert shown is not None
            assert left is not None
            # RAFT leaves out the name of a field that is empty.
            names = task.content if name in RAFT_TASKS and not text else ()
            of_template = _words(shown.input) - _words(*row.values(), *names)
            assert of_template
            assert of_template <= _words(left.input)
            assert max(own, key=len) not in left.input
            assert text.lower() in left.input.lower()
            assert left.choices == shown.choices


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_content_decides_nothing(task: Task) -> None:
    """No template branches on it or makes its choices of it."""
    for template in load_templates(*task.templates_of):
        if template.name in {t.name for t in task.templates()}:
            choices = Template("choices", template.answer_choices_source or "", None)
            assert not set(task.content) & (template.tested | choices.fields)


def test_an_empty_field_stays_empty() -> None:
    row = {"Title": "a title", "Journal": "", "ID": 3, "Label": 1, "Abstract": "so", "Authors": None}
    free = get_task("systematic_review_inclusion").content_free(row, "N/A")
    assert free == {**row, "Title": "N/A", "Abstract": "N/A"}
