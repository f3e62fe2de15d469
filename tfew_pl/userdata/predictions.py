"""What is said of a row: the predicted label and, on request, a probability for each."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfew_pl.errors import UserError
from tfew_pl.userdata.fitted import Fitted
from tfew_pl.userdata.task import Label

if TYPE_CHECKING:  # pyarrow is loaded for Parquet alone
    import pyarrow as pa

PREDICTION = "prediction"
_PROBABILITY = "probability_"


def probabilities(scores: Sequence[float]) -> list[float]:
    """Softmax of the choices' scores, the distribution that L_LN trains (Eq. 2). Not calibrated.

    Args:
        scores: length-normalized log-probabilities.
    """
    most = max(scores)
    weights = [math.exp(score - most) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def best(scores: Sequence[float]) -> int:
    """Index of the best choice, the first of equals."""
    return max(range(len(scores)), key=scores.__getitem__)


class Columns:
    """The columns that predictions add to a table.

    Args:
        fitted: the tasks.
        existing: the table's own columns.
        wanted: whether probabilities are.

    Raises:
        UserError: the table has such a column already.
    """

    def __init__(self, fitted: Sequence[Fitted], existing: Sequence[str], wanted: bool) -> None:
        self._classes = [one.task.classes for one in fitted]
        self._as_text = len({type(label) for classes in self._classes for label in classes}) > 1
        every = {str(label): None for classes in self._classes for label in classes}
        self._probabilities = [f"{_PROBABILITY}{label}" for label in every] if wanted else []
        self.names = [PREDICTION, *self._probabilities]
        for name in self.names:
            if name in existing:
                raise UserError(f"the rows have a column {name!r} already: rename it, or leave it out")

    def parquet_types(self) -> "Mapping[str, pa.DataType]":
        """Of the columns, in a Parquet file."""
        import pyarrow as pa

        kind = type(self._classes[0][0])
        own = pa.string() if self._as_text else {str: pa.string(), int: pa.int64(), bool: pa.bool_()}[kind]
        return {PREDICTION: own, **dict.fromkeys(self._probabilities, pa.float64())}

    def label(self, task: int, scores: Sequence[float]) -> Label:
        """The predicted class, of its own type where all classes share one."""
        label = self._classes[task][best(scores)]
        return str(label) if self._as_text else label

    def values(self, task: int, scores: Sequence[float]) -> Mapping[str, Any]:
        """By column; None for the probability of a label that the row's task does not have."""
        found: dict[str, Any] = {PREDICTION: self.label(task, scores), **dict.fromkeys(self._probabilities)}
        if self._probabilities:
            for label, share in zip(self._classes[task], probabilities(scores), strict=True):
                found[f"{_PROBABILITY}{label}"] = round(share, 6)
        return found
