"""Macro F1 of resampled examples, against examples that are written out and scikit-learn's score."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from experiments.macro_f1 import compare_macro_f1, macro_f1_of_counts
from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import RunSpec

COSTS = Costs(**dict.fromkeys(Costs.__dataclass_fields__, 0))  # type: ignore[arg-type]
CLASS = st.integers(0, 3)


@given(st.lists(st.tuples(CLASS, CLASS, st.integers(0, 3)), min_size=1, max_size=12))
def test_counts_stand_for_examples_that_are_repeated(rows: list[tuple[int, int, int]]) -> None:
    gold, predicted, counts = map(np.array, zip((0, 1, 1), *rows, strict=True))  # at least one is drawn
    (found,) = macro_f1_of_counts(gold, predicted, counts[None].astype(float))
    expected = f1_score(gold.repeat(counts), predicted.repeat(counts), average="macro", zero_division=0)
    assert found == pytest.approx(100 * expected)


def records(method: str, task: str, predicted: list[list[int]], gold: list[int]) -> list[RunRecord]:
    found = []
    for seed, answers in enumerate(predicted):
        rows = [(0, e, *both) for e, both in enumerate(zip(gold, answers, strict=True))]
        table = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
        found.append(
            RunRecord(RunSpec(task=task, seed=seed, method=method), {"a": 0.5}, table, pd.DataFrame(), COSTS, {})
        )
    return found


def test_difference_of_medians_over_runs() -> None:
    gold = [0, 0, 1, 1] * 10
    good, fair, bad = gold, [0, 0, 1, 0] * 10, [1, 1, 0, 0] * 10
    ours = records("ia3", "overruling", [good, fair, bad], gold) + records("ia3", "twitter_complaints", [good], gold)
    theirs = records("setfit", "overruling", [bad] * 3, gold) + records("setfit", "twitter_complaints", [good], gold)
    found = compare_macro_f1(ours, theirs, np.random.default_rng(0), 200)
    assert found is not None
    expected = 100 * f1_score(gold, fair, average="macro") / 2  # the other task is the same
    assert found.difference.value == pytest.approx(expected)
    assert found.difference.low < expected < found.difference.high
    assert (found.tasks, found.better, found.worse, found.improvement) == (2, 1, 0, None)


def test_what_cannot_be_paired() -> None:
    one = records("ia3", "overruling", [[0, 1]], [0, 1])
    generator = np.random.default_rng(0)
    assert compare_macro_f1(one, records("setfit", "twitter_complaints", [[0, 1]], [0, 1]), generator) is None
    assert compare_macro_f1(one, records("setfit", "overruling", [[0, 1, 1]], [0, 1, 1]), generator) is None
