"""What predictions are worth: pure functions of a record's table of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # listing commands must not wait for pandas
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
    if (predictions["gold"] < 0).any():
        return []
    return [_macro_f1(rows) for _, rows in predictions.groupby("template")]


def _macro_f1(rows: "pd.DataFrame") -> float:
    """2 TP / (2 TP + FP + FN) of a class is twice its hits, divided by how often it is correct or predicted."""
    hits = rows.loc[rows["gold"] == rows["predicted"], "gold"].value_counts()
    occurrences = rows["gold"].value_counts().add(rows["predicted"].value_counts(), fill_value=0)
    return float((2 * hits.reindex(occurrences.index, fill_value=0) / occurrences).mean())
