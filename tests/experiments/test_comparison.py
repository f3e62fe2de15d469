"""Comparisons against Mann and Whitney's U, and against every sign written out."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.bootstrap import Answers
from experiments.comparison import compare, probability_of_improvement, run_accuracies, signed_rank, without_noise
from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.tasks import TASKS

COSTS = Costs(**dict.fromkeys(Costs.__dataclass_fields__, 0))  # type: ignore[arg-type]


def runs_with(right: Sequence[int], examples: int = 20) -> Answers:
    """Runs through one template that have so many examples right."""
    return np.array([[[example < count for example in range(examples)]] for count in right])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_probability_of_improvement_is_mann_and_whitneys(ours: list[int], theirs: list[int]) -> None:
    pair = runs_with(ours), runs_with(theirs)
    found = probability_of_improvement([pair], np.random.default_rng(0), resamples=50)
    reference = stats.mannwhitneyu(ours, theirs, method="asymptotic").statistic / (len(ours) * len(theirs))
    assert found.value == pytest.approx(reference)
    assert 0 <= found.low <= found.high <= 1


def test_what_rounding_adds_breaks_no_tie() -> None:
    """Accuracies of 240 examples, of which differences of equal size are not equal as floating-point numbers."""
    halves = np.array([2, -4, -2, 4, -8, 144, -6, -2, -11, 2, -2])  # of 1/480, as a median of two accuracies gives
    reference = 150 + 17 * np.arange(11)
    differences = 100 * ((reference + halves) / 480) - 100 * (reference / 480)
    assert len(np.unique(np.abs(differences))) > len(np.unique(np.abs(halves))), "the tie would be broken"
    exact = stats.wilcoxon(halves, zero_method="zsplit", method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
    assert signed_rank(without_noise(differences)) == pytest.approx(exact)

    one = np.zeros((1, 3, 10), dtype=bool)
    one[0, 1, :3] = one[0, 2, :6] = True  # a median of 30 %
    other = np.zeros((1, 2, 10), dtype=bool)
    other[0, 0, :2] = other[0, 1, :4] = True  # of 20 and 40 %: 30.000000000000004
    assert run_accuracies(one) != run_accuracies(other)
    assert probability_of_improvement([(one, other)], np.random.default_rng(0), 10).value == 0.5


def test_probability_of_improvement_by_hand() -> None:
    always, tie = (runs_with([9, 9]), runs_with([1, 2])), (runs_with([5]), runs_with([5]))
    found = probability_of_improvement([always, tie], np.random.default_rng(0), 200)
    assert (found.value, found.low, found.high) == (0.75, 0.75, 0.75)
    # Of (3, 8) against (5, 5) half are better; a resample of the runs has none, half or all.
    mixed = probability_of_improvement([(runs_with([3, 8]), runs_with([5, 5]))], np.random.default_rng(0), 2000)
    assert (mixed.value, mixed.low, mixed.high) == (0.5, 0.0, 1.0)
    with pytest.raises(ValueError, match="no tasks"):
        probability_of_improvement([], np.random.default_rng(0))


def test_a_runs_accuracy_is_its_median_over_templates() -> None:
    right = np.array([[[1, 0], [1, 1], [0, 0]], [[1, 1], [1, 1], [0, 0]]], dtype=bool)
    assert run_accuracies(right).tolist() == [50, 100]


def test_signed_rank_is_that_of_every_sign() -> None:
    differences = np.array([0.5, 1.5, -1.0, 3.0, 4.0, 6.0])
    ranks = stats.rankdata(np.abs(differences))
    sums = [
        sum(r for r, sign in zip(ranks, signs, strict=True) if sign) for signs in itertools.product((0, 1), repeat=6)
    ]
    observed = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    assert signed_rank(differences) == pytest.approx(2 * np.mean([total <= observed for total in sums]))


@settings(max_examples=30, deadline=None)  # SciPy's takes a loop
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=6).filter(any))
def test_signed_rank_is_scipys_with_ties_and_zeros(differences: list[int]) -> None:
    found = signed_rank(np.array(differences, dtype=float))
    assert found == pytest.approx(stats.wilcoxon(differences, zero_method="zsplit").pvalue)


def test_signed_rank_with_and_without_differences() -> None:
    assert signed_rank(np.zeros(4)) == 1
    assert 0 < signed_rank(np.array([0.0, 1.0, 2.0, 3.0, 4.0])) < 1


def records(method: str, right: dict[str, int], seeds: Sequence[int] = (0, 1)) -> list[RunRecord]:
    found = []
    for task, count in right.items():
        for seed in seeds:
            rows = [(0, e, 1, int(e < count + seed)) for e in range(20)]
            table = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
            spec = RunSpec(task=task, seed=seed, method=method)
            found.append(RunRecord(spec, {"a": (count + seed) / 20}, table, pd.DataFrame(), COSTS, {}))
    return found


def test_compare() -> None:
    ours, theirs = records("ia3", {"rte": 12, "cb": 8, "copa": 5}), records("lora", {"rte": 8, "cb": 9, "wic": 1})
    found = compare(ours, theirs, np.random.default_rng(0), 200)
    assert found is not None
    assert (found.tasks, found.better, found.worse) == (2, 1, 1)
    assert found.difference.value == pytest.approx((20 - 5) / 2)
    # On RTE every run is better; on CB (8, 9) meet (9, 10): one tie of four.
    assert found.improvement is not None
    assert found.improvement.value == pytest.approx((1 + 0.125) / 2)


def test_single_runs_say_nothing_of_how_often_one_beats_another() -> None:
    found = compare(
        records("ia3", {"rte": 12}, seeds=(0,)), records("lora", {"rte": 8}, seeds=(0,)), np.random.default_rng(0)
    )
    assert found is not None
    assert found.improvement is None


def test_nothing_to_compare() -> None:
    generator = np.random.default_rng(0)
    assert compare(records("ia3", {"rte": 1}), records("lora", {"cb": 1}), generator) is None
    assert compare(records("ia3", {"rte": 1}), records("lora", {"rte": 1}, seeds=(7,)), generator) is None


def test_an_advantage_on_eleven_tasks_is_significant() -> None:
    ours = records("ia3", dict.fromkeys(TASKS, 12))
    found = compare(ours, records("lora", {task: 11 - n % 3 for n, task in enumerate(TASKS)}), np.random.default_rng(0))
    assert found is not None
    assert found.better == len(TASKS)
    assert found.p_value < 0.01
