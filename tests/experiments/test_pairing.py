"""Paired comparison, against loops written out and against SciPy's bootstrap."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.pairing import paired_accuracies, paired_difference
from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, RunSpec


def run(seed: int, correct: list[list[bool]], method: str = "ia3") -> RunRecord:
    """A run by which examples of which template it has right."""
    rows = [(t, e, 1, int(right)) for t, row in enumerate(correct) for e, right in enumerate(row)]
    predictions = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
    costs = Costs(*[0] * 13)
    shares = {f"template {t}": float(np.mean(row)) for t, row in enumerate(correct)}
    return RunRecord(RunSpec(task="rte", seed=seed, method=method), shares, predictions, pd.DataFrame(), costs, {})


def test_seeds_meet_their_like() -> None:
    ours = [run(1, [[True, True], [True, False]]), run(0, [[False, False], [True, True]])]
    others = [run(2, [[True] * 2] * 2), run(0, [[True, False], [False, False]]), run(1, [[False] * 2] * 2)]
    pair = paired_accuracies(ours, others)
    assert pair is not None
    assert pair[0].tolist() == [[0, 100], [100, 50]]  # seeds 0 and 1 through both templates
    assert pair[1].tolist() == [[50, 0], [0, 0]]


def test_only_what_both_predict_counts() -> None:
    """One was evaluated on the first two examples through the first template only."""
    ours = [run(0, [[True, True, False, False], [False] * 4])]
    limited = [run(0, [[True, False]], IN_CONTEXT)]
    pair = paired_accuracies(ours, limited)
    assert pair is not None
    assert [side.tolist() for side in pair] == [[[100.0]], [[50.0]]]


def test_zero_shot_stands_beside_every_seed() -> None:
    zero = [run(42, [[True, False]], ZERO_SHOT)]
    ours = [run(0, [[True, True]]), run(1, [[False, False]])]
    pair = paired_accuracies(zero, ours)
    assert pair is not None
    assert [side.tolist() for side in pair] == [[[50.0], [50.0]], [[100.0], [0.0]]]
    alone = paired_accuracies(zero, zero)
    assert alone is not None
    assert alone[0].tolist() == [[50.0]]


def test_nothing_in_common() -> None:
    assert paired_accuracies([run(0, [[True]])], [run(1, [[True]])]) is None


def test_the_value_is_that_of_the_tables_means() -> None:
    generator = np.random.default_rng(5)
    pairs = [(generator.uniform(40, 90, (5, t)), generator.uniform(40, 90, (5, t))) for t in (3, 8)]
    found = paired_difference(pairs, np.random.default_rng(0), resamples=50)
    by_task = [np.median(one) - np.median(other) for one, other in pairs]
    assert found.value == pytest.approx(np.mean(by_task))
    assert (found.better, found.worse) == (sum(d > 0 for d in by_task), sum(d < 0 for d in by_task))


def test_the_interval_is_that_of_a_bootstrap() -> None:
    """Over runs with one template, it is SciPy's percentile bootstrap of paired samples."""
    generator = np.random.default_rng(1)
    one = generator.normal(70, 4, (9, 1))
    other = one - 3 + generator.normal(0, 1, (9, 1))
    found = paired_difference([(one, other)], np.random.default_rng(0), resamples=4000)
    expected = stats.bootstrap(
        (one.ravel(), other.ravel()),
        lambda a, b, axis: np.median(a, axis=axis) - np.median(b, axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.3)


def test_pairing_narrows_the_interval() -> None:
    """What both methods share, good and bad splits, does not blur their difference."""
    runs = np.linspace(50, 90, 5)[:, None] + np.zeros((5, 4))
    found = paired_difference([(runs + 2, runs)], np.random.default_rng(0))
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_no_task() -> None:
    with pytest.raises(ValueError, match="no tasks"):
        paired_difference([], np.random.default_rng(0))
