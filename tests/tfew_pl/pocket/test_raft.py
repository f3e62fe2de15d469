import math
import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from tfew_pl.pocket.raft import SIZES, TASKS, _drawn, rows
from tfew_pl.pocket.world import COMMON, World
from tfew_pl.tasks.raft import RAFT_TASKS


def test_every_raft_task_has_a_stand_in_with_as_many_classes() -> None:
    assert set(TASKS) == set(RAFT_TASKS)
    for name, task in TASKS.items():
        assert len(task.labels) == len(set(task.labels)) == RAFT_TASKS[name].choices


@pytest.mark.parametrize("task", TASKS)
def test_rows_have_the_schema_of_the_real_dataset(task: str) -> None:
    columns = (*RAFT_TASKS[task].columns, "ID", "Label")
    for split in SIZES:
        for row in rows(task, split):
            assert tuple(row) == columns
            assert all(isinstance(row[column], str) and row[column] for column in RAFT_TASKS[task].columns)
    train, evaluation = rows(task, "train"), rows(task, "evaluation")
    assert (len(train), len(evaluation)) == (50, 240)
    assert [row["ID"] for row in train + evaluation] == list(range(290)), "ids go on after the training examples"


@pytest.mark.parametrize("task", TASKS)
def test_every_class_is_about_as_frequent_as_any_other(task: str) -> None:
    classes = RAFT_TASKS[task].choices
    counts = Counter(row["Label"] for row in rows(task, "evaluation"))
    assert set(counts) <= set(range(1, classes + 1))
    if classes < 77:
        assert min(counts.values()) > 0.75 * 240 / classes
    else:
        seen = {row["Label"] for row in rows(task, "train")}
        assert 30 <= len(seen) <= 50, "as in the real one, the 50 examples show a part of the classes"
        assert len(counts) > 70


@pytest.mark.parametrize("task", TASKS)
def test_rows_are_always_the_same_and_no_text_is_in_two_splits(task: str) -> None:
    first = rows(task, "evaluation")
    first[0].clear()
    _drawn.cache_clear()
    again = rows(task, "evaluation")
    assert again[1:] == first[1:]
    texts = [tuple(row[column] for column in RAFT_TASKS[task].columns) for row in rows(task, "train") + again]
    assert len(set(texts)) == 290


def _words(row: dict[str, Any]) -> list[str]:
    """The words of each column, told apart by column and by how often they stand there."""
    found = []
    for column, text in row.items():
        counts = Counter(text.replace(".", " ").replace(",", " ").split())
        found += [f"{column} {word} {count}" for word, count in counts.items()]
    return found


@pytest.mark.parametrize("task", [name for name in TASKS if name != "banking_77"])
def test_no_class_is_told_by_its_words(task: str) -> None:
    """A naive Bayes classifier that has read 4,000 training texts stays at chance on the evaluation's 1,500."""
    known, classes = TASKS[task], range(RAFT_TASKS[task].choices)
    rng = random.Random(0)

    def draw(world: World, size: int) -> list[tuple[list[str], int]]:
        labels = [rng.randrange(len(classes)) for _ in range(size)]
        return [(_words(known.draw(world, rng, label)), label) for label in labels]

    counts: dict[str, Counter[int]] = defaultdict(lambda: Counter(dict.fromkeys(classes, 3)))
    totals = Counter(dict.fromkeys(classes, 0))
    for words, label in draw(COMMON, 4000):
        totals[label] += 1
        for word in words:
            counts[word][label] += 1

    def guess(words: list[str]) -> int:
        def score(label: int) -> float:
            return sum(math.log(counts[word][label] / totals[label]) for word in words if word in counts)

        return max(classes, key=score)

    hits = [guess(words) == label for words, label in draw(World("test"), 1500)]
    assert abs(sum(hits) / len(hits) - 1 / len(classes)) < 0.05


def test_a_query_names_two_things_and_the_lost_one_decides() -> None:
    for row in rows("banking_77", "evaluation"):
        color, thing = TASKS["banking_77"].labels[row["Label"] - 1].split("_")
        assert f"the {thing} is {color}." in row["Query"]
        assert row["Query"].endswith(f"lost the {thing}.")
        others = [
            label for label in TASKS["banking_77"].labels if all(word in row["Query"] for word in label.split("_"))
        ]
        assert len(others) >= 3, "two things and two colors make several classes"
