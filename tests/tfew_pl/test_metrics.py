import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score

from tfew_pl.metrics import accuracy, macro_f1

GOLD = [0, 0, 1, 1, 2, 2, 2, 4]
PREDICTED = [0, 1, 1, 1, 2, 0, 2, 2]


def _table(*templates: tuple[list[int], list[int]]) -> pd.DataFrame:
    rows = [
        {"template": number, "example": example, "gold": gold, "predicted": predicted}
        for number, (golds, predictions) in enumerate(templates)
        for example, (gold, predicted) in enumerate(zip(golds, predictions, strict=True))
    ]
    return pd.DataFrame(rows).astype({"gold": "int16", "predicted": "int16"})


def _f1(gold: list[int], predicted: list[int], of: int) -> float:
    """2 TP / (2 TP + FP + FN)."""
    hits = sum(g == p == of for g, p in zip(gold, predicted, strict=True))
    return 2 * hits / (gold.count(of) + predicted.count(of))


def test_macro_f1_is_the_mean_over_the_classes_that_occur() -> None:
    """Class 3 is neither correct nor predicted anywhere; class 4 is correct once, and never predicted."""
    expected = sum(_f1(GOLD, PREDICTED, of) for of in (0, 1, 2, 4)) / 4
    assert macro_f1(_table((GOLD, PREDICTED), (GOLD, GOLD))) == pytest.approx([expected, 1.0])
    theirs = multiclass_f1_score(torch.tensor(PREDICTED), torch.tensor(GOLD), num_classes=5, average="macro")
    assert float(theirs) == pytest.approx(expected)


def test_a_constant_answer_has_the_macro_f1_of_one_class() -> None:
    assert macro_f1(_table(([0, 0, 0, 1], [0, 0, 0, 0]))) == pytest.approx([(6 / 7 + 0) / 2])
    assert macro_f1(_table(([0, 0], [0, 0]))) == pytest.approx([1.0])


def test_accuracy_by_template() -> None:
    assert accuracy(_table((GOLD, PREDICTED), (GOLD, GOLD)), ["a", "b"]) == pytest.approx({"a": 5 / 8, "b": 1.0})


def test_nothing_is_said_of_examples_without_labels() -> None:
    table = _table(([-1, -1], [0, 1]))
    assert (accuracy(table, ["a"]), macro_f1(table)) == ({}, [])
