"""What predictions are worth: pure functions of a record's table of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # reading records must not wait for torch
    import pandas as pd


def accuracy(predictions: "pd.DataFrame", templates: Sequence[str]) -> dict[str, float]:
    """Share of correct predictions by template; empty where examples have no labels.

    Args:
        predictions: of a `RunRecord`.
        templates: their names, in the order of their numbers.
    """
    if (predictions["gold"] < 0).any():
        return {}
    right = predictions["gold"] == predictions["predicted"]
    shares = right.groupby(predictions["template"]).mean().sort_index()
    return dict(zip(templates, shares.tolist(), strict=True))


def macro_f1(predictions: "pd.DataFrame") -> list[float]:
    """RAFT's metric: the F1 of each class, averaged over the classes that are predicted or correct somewhere.

    It is scikit-learn's `f1_score(average="macro")`.

    Args:
        predictions: of a `RunRecord`, or of several that were measured on parts of the same examples.

    Returns:
        A share for each template, in the order of their numbers; empty where examples have no labels.
    """
    import torch
    from torchmetrics.functional.classification import multiclass_f1_score

    if (predictions["gold"] < 0).any():
        return []
    classes = int(predictions[["gold", "predicted"]].to_numpy().max()) + 1
    found = []
    for _, rows in predictions.groupby("template"):
        predicted, gold = (torch.tensor(rows[column].to_numpy().astype("int64")) for column in ("predicted", "gold"))
        found.append(float(multiclass_f1_score(predicted, gold, num_classes=max(classes, 2), average="macro")))
    return found
