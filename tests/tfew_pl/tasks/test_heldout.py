import random

import pytest

from tfew_pl.prompts import load_templates
from tfew_pl.tasks import TASKS, get_task
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.task import Row

# Brown et al. 2020 and the issue: examples a task, and how many P3 templates evaluate it.
SHOTS = {"copa": 32, "hellaswag": 20, "story_cloze": 70, "winogrande": 50, "wsc": 32, "wic": 32, "rte": 32,
         "cb": 32, "anli_r1": 50, "anli_r2": 50, "anli_r3": 50}  # fmt: skip
TEMPLATES = {"copa": 8, "hellaswag": 4, "story_cloze": 5, "winogrande": 5, "wsc": 10, "wic": 10, "rte": 10,
             "cb": 15, "anli_r1": 15, "anli_r2": 15, "anli_r3": 15}  # fmt: skip
CHOICES = {"hellaswag": 4, "cb": 3, "anli_r1": 3, "anli_r2": 3, "anli_r3": 3}


def test_the_eleven_tasks_in_the_order_of_the_tables() -> None:
    assert list(TASKS) == list(SHOTS)


@pytest.mark.parametrize("name", SHOTS)
def test_few_shot_size_templates_and_chance(name: str) -> None:
    task = get_task(name)
    assert task.shots == SHOTS[name]
    assert len(task.templates()) == TEMPLATES[name]
    assert task.chance == pytest.approx(1 / CHOICES.get(name, 2))


def test_copa_uses_its_first_eight_templates_by_name() -> None:
    names = sorted(t.name for t in load_templates("super_glue", "copa"))
    assert [t.name for t in get_task("copa").templates()] == names[:8]


def test_hellaswag_uses_templates_3_4_8_and_10() -> None:
    names = sorted(t.name for t in load_templates("hellaswag"))
    assert [t.name for t in get_task("hellaswag").templates()] == [names[i] for i in (3, 4, 8, 10)]


@pytest.mark.parametrize(
    ("name", "row", "label"),
    [
        ("hellaswag", {"label": "3"}, 3),
        ("story_cloze", {"answer_right_ending": 2}, 1),
        ("story_cloze", {"answer_right_ending": "1"}, 0),
        ("winogrande", {"answer": "2"}, 1),
        ("winogrande", {"answer": "1"}, 0),
        ("cb", {"label": 2}, 2),
        ("wsc", {"label": 0}, 0),
    ],
)
def test_label_is_the_index_of_the_correct_choice(name: str, row: Row, label: int) -> None:
    assert get_task(name).label(row) == label


def test_official_evaluation_splits() -> None:
    splits = {name: (t.hub.train_split, t.hub.evaluation_split) for name, t in TASKS.items()}
    for round_ in (1, 2, 3):
        assert splits[f"anli_r{round_}"] == (f"train_r{round_}", f"test_r{round_}")
    assert splits["story_cloze"] == ("validation", "test")
    assert splits["rte"] == splits["winogrande"] == ("train", "validation")


@pytest.mark.parametrize("name", TASKS)
def test_target_is_the_choice_at_the_label_in_every_template(name: str) -> None:
    task, data = get_task(name), load_data(name, "pocket")
    labels = set()
    for row in [*data.train[:40], *data.evaluation[:40]]:
        label = task.label(row)
        labels.add(label)
        for template in task.templates():
            prompt = template.render(row, random.Random(0))
            assert prompt is not None, template.name
            assert prompt.choices is not None
            assert len(prompt.choices) == task.choices
            assert len(set(prompt.choices)) == task.choices, "two choices that are the same cannot be ranked"
            assert prompt.choices[label] == prompt.target, template.name
            assert prompt.input
    assert labels == set(range(task.choices))


@pytest.mark.parametrize("name", TASKS)
def test_templates_want_only_the_fields_that_the_task_lists(name: str) -> None:
    task = get_task(name)
    wanted = frozenset[str]().union(*(t.fields for t in task.templates()))
    assert wanted - {"label", "answer"} <= set(task.fields)
