"""`TFewClassifier` keeps scikit-learn's conventions.

scikit-learn's own checks feed matrices of numbers. Those that say something of a classifier of texts are made to feed
texts: `OverNumbers` writes each row of a matrix as a text before it goes the same way as any other.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from tfew_pl import backbones
from tfew_pl.classifier import TFewClassifier
from tfew_pl.errors import UserError

TEXTS = ["the cat sat", "the dog ran", "a bird sang", "a fish swam"]
LABELS = ["yes", "no", "yes", "no"]


class OverNumbers(TFewClassifier):
    """Texts made of the rows of a matrix, by scikit-learn's own validation of it."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.string = tags.input_tags.one_d_array = False
        tags.classifier_tags.poor_score = True  # a random backbone trained for two steps learns nothing
        return tags

    def _texts(self, X: Any, reset: bool) -> list[str]:  # noqa: N803
        rows = validate_data(self, X, reset=reset, dtype="numeric")
        return [" ".join(f"{value:.3g}" for value in row) for row in rows]

    def fit(self, X: Any, y: Any) -> "OverNumbers":  # noqa: N803
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        return super().fit(self._texts(X, reset=True), y)

    def predict(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return super().predict(self._texts(X, reset=False))

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return super().predict_proba(self._texts(X, reset=False))


@pytest.fixture(autouse=True)
def _tiny(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.ALIASES, "tiny", backbones.Alias("random", str(backbone_folder)))


@pytest.fixture
def fitted() -> TFewClassifier:
    return TFewClassifier(backbone="tiny", steps=2).fit(TEXTS, LABELS)


@parametrize_with_checks([OverNumbers(backbone="tiny", steps=1)])
def test_scikit_learns_own_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("texts", [TEXTS, tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS, index=[7, 5, 3, 1])])
def test_texts_of_any_kind(texts: Any, fitted: TFewClassifier) -> None:
    np.testing.assert_array_equal(fitted.predict_proba(texts), fitted.predict_proba(TEXTS))


@pytest.mark.parametrize(
    "labels",
    [LABELS, np.array(LABELS), pd.Series(LABELS), [1, 0, 1, 0], np.array([2.0, 7.0, 2.0, 7.0]), [True, False] * 2],
)
def test_labels_of_any_kind(labels: Any, tmp_path: Path) -> None:
    classifier = TFewClassifier(backbone="tiny", steps=1).fit(TEXTS, labels)
    expected = np.unique(np.asarray(labels))
    np.testing.assert_array_equal(classifier.classes_, expected)
    assert classifier.classes_.dtype == expected.dtype
    assert set(classifier.predict(TEXTS)) <= set(expected)
    classifier.save(tmp_path / "saved")
    np.testing.assert_array_equal(TFewClassifier.load(tmp_path / "saved").classes_, expected)


def test_probabilities_are_a_distribution_and_agree_with_the_prediction(fitted: TFewClassifier) -> None:
    found = fitted.predict_proba(TEXTS)
    assert found.shape == (4, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.classes_[found.argmax(axis=1)], fitted.predict(TEXTS))
    assert fitted.score(TEXTS, LABELS) == np.mean(fitted.predict(TEXTS) == LABELS)


@pytest.mark.parametrize(
    ("texts", "says"),
    [("one text", "a sequence of texts"), ([], "0 texts"), ([["a"], ["b"]], "holds list"),
     (np.array([TEXTS]), "one dimension"),
     (["a", None], r"X\[1\]: column 'text' has no text"), (["a", " "], r"X\[1\]"), ([b"a", b"b"], "holds bytes")],
)  # fmt: skip
def test_texts_that_are_none(texts: Any, says: str, fitted: TFewClassifier) -> None:
    with pytest.raises(ValueError, match=says):
        fitted.predict(texts)
    if len(texts):
        with pytest.raises(ValueError, match=says):
            TFewClassifier(backbone="tiny", steps=1).fit(texts, ["yes", "no"][: len(texts)])


@pytest.mark.parametrize(
    ("labels", "says"),
    [(["yes"] * 4, "one class"), (["yes", "no"], "inconsistent"), ([0.5, 1.5, 0.5, 1.5], "label type")],
)
def test_labels_that_are_none(labels: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TFewClassifier(backbone="tiny", steps=1).fit(TEXTS, labels)


def test_a_fit_that_fails_leaves_what_was_fitted_before(fitted: TFewClassifier) -> None:
    before = fitted.predict_proba(TEXTS)
    with pytest.raises(ValueError, match="has no text"):
        fitted.fit(["a", ""], ["cat", "dog"])
    assert fitted.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), before)
    fresh = TFewClassifier(backbone="tiny", steps=1)
    with pytest.raises(ValueError, match="has no text"):
        fresh.fit(["a", ""], ["cat", "dog"])
    with pytest.raises(NotFittedError):
        fresh.predict(TEXTS)


def test_what_is_missing_in_pandas_is_named() -> None:
    classifier = TFewClassifier(backbone="tiny", steps=1)
    texts = pd.Series(["a", None, "b", "c"], dtype="string")
    with pytest.raises(ValueError, match=r"X\[1\]: column 'text' has no text"):
        classifier.fit(texts, LABELS)
    for labels in (
        pd.Series(["yes", None, "no", "no"], dtype="string"),
        ["yes", None, "no", "no"],
        ["a", "", "b", "b"],
    ):
        with pytest.raises(ValueError, match=r"y\[1\] has no label|contains NaN"):
            classifier.fit(TEXTS, labels)


def test_numpy_s_numbers_are_numbers(fitted: TFewClassifier) -> None:
    np.testing.assert_array_equal(fitted.predict_proba(np.array([1, 2])), fitted.predict_proba([1, 2]))
    seeds = [TFewClassifier(backbone="tiny", random_state=state)._seed() for state in (7, np.int64(7))]
    assert seeds == [7, 7]


def test_wrong_parameters_are_told_at_fit_not_before() -> None:
    classifier = clone(TFewClassifier(method="ia4"))
    with pytest.raises(UserError, match="did you mean ia3"):
        classifier.fit(TEXTS, LABELS)


def test_it_must_be_fitted() -> None:
    with pytest.raises(NotFittedError):
        TFewClassifier().predict(TEXTS)


def test_it_is_pickled_without_the_backbone(fitted: TFewClassifier) -> None:
    content = pickle.dumps(fitted)
    assert len(content) < 20_000
    np.testing.assert_array_equal(pickle.loads(content).predict_proba(TEXTS), fitted.predict_proba(TEXTS))  # noqa: S301


def test_it_is_saved_and_loaded(fitted: TFewClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "saved")
    loaded = TFewClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    again = clone(loaded).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    with pytest.raises(UserError, match="it is there already"):
        fitted.save(tmp_path / "saved")


def test_template_and_answers_make_the_question() -> None:
    classifier = TFewClassifier(
        backbone="tiny", steps=1, template="{{ text }} Does it purr?", answers={"yes": "it does", "no": "it does not"}
    ).fit(TEXTS, LABELS)
    row = classifier.fitted_.task.row({"text": "the cat"}, "here")
    prompt = classifier.fitted_.task.templates()[0].render(row, None)  # type: ignore[arg-type]
    assert prompt is not None
    assert (prompt.input, prompt.choices) == ("the cat Does it purr?", ("it does not", "it does"))


def test_it_works_with_what_scikit_learn_makes_of_classifiers() -> None:
    texts, labels = TEXTS * 2, LABELS * 2
    classifier = TFewClassifier(backbone="tiny", steps=1)
    assert cross_val_score(classifier, texts, labels, cv=2).shape == (2,)
    search = GridSearchCV(classifier, {"steps": [1, 2], "method": ["ia3", "bitfit"]}, cv=2).fit(texts, labels)
    assert set(search.best_params_) == {"steps", "method"}
    pipeline = make_pipeline(FunctionTransformer(lambda values: [value.upper() for value in values]), classifier)
    assert len(pipeline.fit(texts, labels).predict(texts)) == 8


def test_the_random_state_decides(fitted: TFewClassifier) -> None:
    def fit(state: Any, method: str = "ia3") -> Any:
        classifier = TFewClassifier(backbone="tiny", method=method, steps=2, random_state=state)
        return classifier.fit(TEXTS, LABELS).predict_proba(TEXTS)

    np.testing.assert_array_equal(fit(42), fitted.predict_proba(TEXTS))
    assert (fit(1, "lora") != fit(42, "lora")).any()  # it starts at random, where all vectors of (IA)3 start at one
    np.testing.assert_array_equal(fit(np.random.RandomState(3)), fit(np.random.RandomState(3)))
