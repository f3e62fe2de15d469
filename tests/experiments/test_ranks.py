"""Ranks against Demšar (2006) and the formulas written out."""

import numpy as np
import pytest
from scipy import stats

from experiments.ranks import critical_difference, ranking


@pytest.mark.parametrize(
    ("methods", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_values_are_demsars(methods: int, q: float) -> None:
    # Table 5(a) for 5 %; the table rounds, and its 2.343 and 2.850 are a thousandth off.
    tasks = methods * (methods + 1) // 6 or 1
    scale = np.sqrt(methods * (methods + 1) / (6 * tasks))
    assert critical_difference(methods, tasks) / scale == pytest.approx(q, abs=1.1e-3)


def test_demsars_example() -> None:
    # Section 3.2.2: four classifiers on 14 data sets have a critical difference of 1.25; at 10 %, of 1.12.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)


def test_ranks_by_hand() -> None:
    found = ranking({"a": [90, 80, 70], "b": [95, 80, 60], "c": [10, 10, 10]})
    assert found.ranks == {"a": pytest.approx((2 + 1.5 + 1) / 3), "b": pytest.approx((1 + 1.5 + 2) / 3), "c": 3}
    assert list(found.ranks) == ["a", "b", "c"]
    assert found.tasks == 3


def test_friedman_by_its_formula() -> None:
    table = np.random.default_rng(0).normal(size=(4, 9))
    found = ranking({f"m{i}": row.tolist() for i, row in enumerate(table)})
    k, n = table.shape
    squares = sum(rank**2 for rank in found.ranks.values())
    statistic = 12 * n / (k * (k + 1)) * (squares - k * (k + 1) ** 2 / 4)
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, k - 1))


def test_groups_are_neighbors_that_cannot_be_told_apart() -> None:
    # On 12 tasks three methods differ by at least 0.957. Ranks: a 1.5, b 2, c 2.5.
    tasks = 12
    a = [3.0] * 6 + [2.0] * 6
    b = [2.0] * 6 + [3.0] * 3 + [1.0] * 3
    c = [1.0] * 9 + [3.0] * 3
    found = ranking({"c": c, "b": b, "a": a})
    assert found.ranks == {"a": 1.5, "b": 2.0, "c": 2.5}
    assert found.critical_difference == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * tasks)), abs=1e-3)
    assert found.groups == (("a", "b"), ("b", "c"))
    # On nine of them they must differ by 1.105, and do by 2/3 at most.
    assert ranking({"c": c[3:], "b": b[3:], "a": a[3:]}).groups == (("a", "b", "c"),)
    # Ranks 1, 13/6 and 17/6: the first stands alone.
    apart = ranking({"a": [3.0] * 12, "b": [2.0] * 10 + [1.0] * 2, "c": [1.0] * 10 + [2.0] * 2})
    assert apart.groups == (("b", "c"),)


def test_all_alike_and_too_few() -> None:
    alike = ranking({name: [50.0, 60.0] for name in "abc"})
    assert (alike.p_value, alike.groups) == (1.0, (("a", "b", "c"),))
    assert ranking({"a": [1.0], "b": [2.0]}).p_value is None
    for table in ({"a": [1.0]}, {"a": [1.0], "b": []}, {"a": [], "b": []}):
        with pytest.raises(ValueError, match="two methods"):
            ranking(table)
