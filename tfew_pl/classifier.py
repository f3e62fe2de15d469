"""T-Few as a scikit-learn classifier of texts: `TFewClassifier().fit(texts, labels).predict(texts)`.

scikit-learn comes with the extra `sklearn`.
"""

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfew_pl.errors import UserError
from tfew_pl.spec import Precision, Scalar
from tfew_pl.tasks.task import Row
from tfew_pl.userdata.fit import fit, fit_spec
from tfew_pl.userdata.fitted import Fitted
from tfew_pl.userdata.predictions import probabilities
from tfew_pl.userdata.predictor import predicting
from tfew_pl.userdata.task import TEXT, Label, TextTask, define, is_missing

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import assert_all_finite, check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted
except ImportError as error:
    raise UserError("TFewClassifier needs scikit-learn: pip install 'tfew_pl[sklearn]'") from error

_CHUNK = 1024


class TFewClassifier(ClassifierMixin, BaseEstimator):
    """Classifies texts by ranking the labels as answers to a question about each text.

    Args:
        backbone: alias, hub id or folder.
        method: a registered PEFT method.
        options: of the method.
        template: Jinja for the question, in which the text is `{{ text }}`; None for one that lists the labels.
        answers: words that say what a label means, by the label as text, where its own name does not.
        steps: of training; None for the recipe's 1,000, or 100 on a pocket backbone.
        precision: of the backbone's weights, fp32 or bf16.
        random_state: of orders and initialization.

    Attributes:
        classes_: the labels, sorted.
        fitted_: the trained task, as `tfew predict` uses it.
    """

    def __init__(
        self,
        *,
        backbone: str = "pocket-t0",
        method: str = "ia3",
        options: Mapping[str, Scalar] | None = None,
        template: str | None = None,
        answers: Mapping[str, str] | None = None,
        steps: int | None = None,
        precision: Precision = "fp32",
        random_state: int | np.random.RandomState | None = 42,
    ) -> None:
        self.backbone = backbone
        self.method = method
        self.options = options
        self.template = template
        self.answers = answers
        self.steps = steps
        self.precision = precision
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def fit(self, X: Sequence[str], y: ArrayLike) -> Self:  # noqa: N803 (scikit-learn's names)
        """Trains on labeled texts.

        Args:
            X: (examples,), texts.
            y: (examples,), labels: texts, whole numbers or truth values.

        Raises:
            ValueError: texts or labels are missing or of the wrong kind.
            UserError: the labels cannot be told apart or answered with, or a parameter does not fit.
        """
        texts = _texts(X)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        labels = column_or_1d(y, warn=True)
        for number, own in enumerate(labels):
            if is_missing(own) and not isinstance(own, float):  # of NaN scikit-learn tells in its own words
                raise ValueError(f"y[{number}] has no label")
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        check_consistent_length(texts, labels)
        classes, indices = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y holds one class only, {str(classes[0])!r}: there is nothing to tell apart")
        names: list[Label] = [_plain(classes[index]) for index in indices]
        task = define(
            "texts", [TEXT], names, text=TEXT, label="label", template=self.template, answers=self.answers,
            where="y",
        )  # fmt: skip
        spec = fit_spec(
            task.name,
            backbone=self.backbone,
            method=self.method,
            options=self.options,
            seed=self._seed(),
            steps=self.steps,
            precision=self.precision,
        )
        rows = [_row(task, text, number, label) for number, (text, label) in enumerate(zip(texts, names, strict=True))]
        self.fitted_ = fit(task, rows, spec, folds=0)
        self.classes_ = classes  # a fit that failed has left what was fitted before
        return self

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _scores(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        rows = [(0, _row(self.fitted_.task, text, number)) for number, text in enumerate(_texts(X))]
        found: list[list[float]] = []
        with predicting({"texts": self.fitted_}) as predictor:
            for start in range(0, len(rows), _CHUNK):
                found += predictor.scores(rows[start : start + _CHUNK], start)
        return np.array(found, dtype=float).reshape(len(rows), len(self.classes_))

    def predict(self, X: Sequence[str]) -> NDArray[Any]:  # noqa: N803
        """The best label of each text.

        Args:
            X: (examples,), texts.

        Returns:
            (examples,), of `classes_`.
        """
        scores = self._scores(X)
        best: NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return best

    def predict_proba(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803
        """Softmax of the labels' length-normalized scores, the distribution that L_LN trains; not calibrated.

        Args:
            X: (examples,), texts.

        Returns:
            (examples, classes), in the order of `classes_`.
        """
        scores = self._scores(X)
        return np.array([probabilities(row) for row in scores.tolist()]).reshape(scores.shape)

    def save(self, folder: str | Path, overwrite: bool = False) -> None:
        """Writes what `tfew predict` reads, without pickles."""
        check_is_fitted(self)
        self.fitted_.save(Path(folder), overwrite)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A fitted classifier from a folder that `save` or `tfew fit` has written.

        Raises:
            UserError: it is none, or its question needs more columns than a text.
        """
        fitted = Fitted.load(Path(folder))
        task, spec = fitted.task, fitted.spec
        if set(task.columns) != {TEXT}:
            raise UserError(f"{folder}: its question is made of {', '.join(task.columns)}: use `tfew predict`")
        found = cls(
            backbone=spec.backbone,
            method=spec.method,
            options=dict(spec.options) or None,
            template=task.question,
            answers={str(label): answer for label, answer in zip(task.classes, task.answers, strict=True)},
            steps=spec.recipe.steps,
            precision=spec.precision,
            random_state=spec.seed,
        )
        found.classes_ = np.array(task.classes)
        found.fitted_ = fitted
        return found


def _plain(label: Any) -> Label:
    """NumPy's scalar as Python's own, of a kind that JSON can keep."""
    value = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | bool):
        raise ValueError(f"Unknown label type: {label!r}; labels are texts, whole numbers or truth values")
    return value


def _texts(X: Sequence[str]) -> list[str]:  # noqa: N803
    """The texts as a list.

    Raises:
        ValueError: it is no one-dimensional sequence, or empty.
    """
    if isinstance(X, str) or not hasattr(X, "__len__"):
        raise ValueError("expected a sequence of texts, not a single one")
    if getattr(X, "ndim", 1) != 1:
        raise ValueError(f"expected texts in one dimension, not {X.ndim}; one text a row")  # type: ignore[attr-defined]
    if len(X) == 0:
        raise ValueError("found 0 texts while a minimum of 1 is required")
    return [text.item() if isinstance(text, np.generic) else text for text in X]


def _row(task: TextTask, text: object, number: int, label: Label | None = None) -> Row:
    try:
        row = task.row(dict.fromkeys(task.columns.values(), text), f"X[{number}]", label)
        task.check_rendering(row, f"X[{number}]")
    except UserError as error:
        raise ValueError(str(error)) from error
    return row
