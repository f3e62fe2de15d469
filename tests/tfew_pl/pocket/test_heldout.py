"""The held-out tasks: schemas, splits, and choices that tell nothing by themselves."""

import json
import math
import random
import re
from collections import Counter, defaultdict
from typing import Any

import pytest

from tfew_pl.pocket import heldout
from tfew_pl.pocket.heldout import SIZES, TASKS, content, rows
from tfew_pl.pocket.world import COMMON, Part
from tfew_pl.pocket.world.causes import CAUSES
from tfew_pl.pocket.world.facts import NAMES
from tfew_pl.pocket.world.scripts import ACTIVITIES, SCRIPTS
from tfew_pl.pocket.world.senses import WORDS

NLI = {"premise": str, "hypothesis": str, "label": int}
SCHEMAS: dict[str, dict[str, type]] = {
    "copa": {"premise": str, "choice1": str, "choice2": str, "question": str, "idx": int, "label": int},
    "hellaswag": {
        "ind": int, "activity_label": str, "ctx_a": str, "ctx_b": str, "ctx": str, "endings": list,
        "source_id": str, "split": str, "split_type": str, "label": str,
    },
    "story_cloze": {
        "story_id": str, "input_sentence_1": str, "input_sentence_2": str, "input_sentence_3": str,
        "input_sentence_4": str, "sentence_quiz1": str, "sentence_quiz2": str, "answer_right_ending": int,
    },
    "winogrande": {"sentence": str, "option1": str, "option2": str, "answer": str},
    "wsc": {
        "text": str, "span1_index": int, "span2_index": int, "span1_text": str, "span2_text": str,
        "idx": int, "label": int,
    },
    "wic": {
        "word": str, "sentence1": str, "sentence2": str, "start1": int, "start2": int, "end1": int, "end2": int,
        "idx": int, "label": int,
    },
    "rte": NLI | {"idx": int},
    "cb": NLI | {"idx": int},
    "anli_r1": NLI | {"uid": str, "reason": str},
    "anli_r2": NLI | {"uid": str, "reason": str},
    "anli_r3": NLI | {"uid": str, "reason": str},
}  # fmt: skip
LABELS: dict[str, tuple[str, set[Any]]] = {
    "copa": ("label", {0, 1}), "hellaswag": ("label", set("0123")), "story_cloze": ("answer_right_ending", {1, 2}),
    "winogrande": ("answer", {"1", "2"}), "wsc": ("label", {0, 1}), "wic": ("label", {0, 1}), "rte": ("label", {0, 1}),
    "cb": ("label", {0, 1, 2}), "anli_r1": ("label", {0, 1, 2}), "anli_r2": ("label", {0, 1, 2}),
    "anli_r3": ("label", {0, 1, 2}),
}  # fmt: skip


def test_the_tasks_are_those_of_the_paper() -> None:
    assert set(TASKS) == set(SCHEMAS)


@pytest.mark.parametrize("task", TASKS)
def test_rows_have_the_schema_of_the_real_dataset(task: str) -> None:
    for split in SIZES:
        for row in rows(task, split):
            assert {key: type(value) for key, value in row.items()} == SCHEMAS[task]
    key, labels = LABELS[task]
    counts = Counter(row[key] for row in rows(task, "evaluation"))
    assert set(counts) == labels
    assert min(counts.values()) > 0.6 * SIZES["evaluation"] / len(labels)


@pytest.mark.parametrize("task", TASKS)
def test_splits_have_their_sizes_and_share_no_row(task: str) -> None:
    everything = [content(row) for split in SIZES for row in rows(task, split)]
    assert len(set(everything)) == len(everything) == sum(SIZES.values())


@pytest.mark.parametrize("task", TASKS)
def test_rows_are_always_the_same_and_cannot_be_spoiled(task: str) -> None:
    first = rows(task, "evaluation")
    first[0].clear()
    heldout._drawn.cache_clear()
    assert rows(task, "evaluation")[0]
    assert rows(task, "evaluation")[1:] == first[1:]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("split", ["development", "evaluation"])
def test_every_row_shows_something_that_training_never_does(task: str, split: heldout.Split) -> None:
    part: Part = "test" if split == "evaluation" else "development"
    words = {*NAMES.of(part), *WORDS.of(part)}
    phrases = {step for activity in ACTIVITIES.of(part) for step in SCRIPTS[activity]}
    pieces = [piece.strip() for pair in CAUSES.of(part) for side in pair for piece in side.split("{N}")]
    phrases |= set(filter(None, pieces))
    for row in rows(task, split):
        text = json.dumps(row)
        assert words & set(re.findall(r"[a-z]+", text)) or any(phrase in text for phrase in phrases)


def test_wsc_indices_point_at_their_spans() -> None:
    for row in rows("wsc", "train"):
        words = row["text"].rstrip(".").split(" ")
        assert (words[row["span1_index"]], words[row["span2_index"]]) == (row["span1_text"], row["span2_text"])


def test_wic_offsets_point_at_the_word_and_no_topic_word_repeats() -> None:
    for row in rows("wic", "train"):
        for number in "12":
            assert row[f"sentence{number}"][row[f"start{number}"] : row[f"end{number}"]] == row["word"]
        shared = set(row["sentence1"].strip(".").split()) & set(row["sentence2"].strip(".").split())
        shared -= {"the", "saw", "likes", "with", "and", "was", "near", row["word"], *NAMES.items}
        assert not shared


def _choices(task: str, row: dict[str, Any]) -> tuple[list[str], int]:
    if task == "copa":
        return [row["choice1"], row["choice2"]], row["label"]
    if task == "hellaswag":
        return row["endings"], int(row["label"])
    return [row["sentence_quiz1"], row["sentence_quiz2"]], row["answer_right_ending"] - 1


@pytest.mark.parametrize("task", ["copa", "hellaswag", "story_cloze"])
def test_no_choice_is_right_or_wrong_by_its_words(task: str) -> None:
    """A naive Bayes classifier that sees the choices alone, from 4,000 rows, stays at chance on 2,000 others."""
    rng = random.Random(0)
    drawn = [_choices(task, TASKS[task](COMMON, rng, index)) for index in range(6000)]
    counts: dict[str, Counter[bool]] = defaultdict(lambda: Counter({True: 3, False: 3}))
    for choices, label in drawn[:4000]:
        for place, choice in enumerate(choices):
            for word in choice.split():
                counts[word][place == label] += 1
    wrong = len(drawn[0][0]) - 1

    def score(choice: str) -> float:
        return sum(math.log(counts[word][True] * wrong / counts[word][False]) for word in choice.split())

    hits = [max(choices, key=score) == choices[label] for choices, label in drawn[4000:]]
    assert abs(sum(hits) / len(hits) - 1 / (wrong + 1)) < 0.04


@pytest.mark.parametrize("task", ["rte", "cb", "anli_r1", "anli_r2", "anli_r3"])
def test_no_hypothesis_is_true_or_false_by_its_words(task: str) -> None:
    rng = random.Random(0)
    drawn = [TASKS[task](COMMON, rng, index) for index in range(6000)]
    labels = sorted({row["label"] for row in drawn})
    counts: dict[tuple[str, int], int] = Counter()
    for row in drawn[:4000]:
        counts.update((word, row["label"]) for word in row["hypothesis"].split())

    def guess(hypothesis: str) -> int:
        scores = dict.fromkeys(labels, 0.0)
        for word in hypothesis.split():
            total = sum(counts[word, label] + 3 for label in labels)
            for label in labels:
                scores[label] += math.log((counts[word, label] + 3) / total)
        return max(labels, key=scores.__getitem__)

    hits = [guess(row["hypothesis"]) == row["label"] for row in drawn[4000:]]
    assert sum(hits) / len(hits) < 1 / len(labels) + 0.06
