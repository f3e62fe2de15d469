from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tfew_pl.userdata.held_out import HeldOut, most_frequent_share, stratified_folds


@given(
    classes=st.lists(st.integers(0, 4), min_size=2, max_size=60),
    folds=st.integers(2, 10),
    seed=st.integers(0, 5),
)
def test_folds_share_rows_and_classes_evenly(classes: list[int], folds: int, seed: int) -> None:
    folds = min(folds, len(classes))
    parts = stratified_folds(classes, folds, seed)
    assert sorted(i for part in parts for i in part) == list(range(len(classes)))
    assert all(part == sorted(part) for part in parts)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    for label in set(classes):
        counts = [Counter(classes[i] for i in part)[label] for part in parts]
        assert max(counts) - min(counts) <= 1


def test_the_seed_decides_the_folds() -> None:
    classes = [i % 2 for i in range(20)]
    assert stratified_folds(classes, 4, 1) == stratified_folds(classes, 4, 1) != stratified_folds(classes, 4, 2)


@pytest.mark.parametrize(("right", "rows"), [(0, 10), (7, 10), (42, 50), (50, 50), (1, 1)])
def test_the_interval_is_wilsons(right: int, rows: int) -> None:
    expected = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    assert HeldOut(right, rows, 4, 0.5).interval == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_most_frequent_share() -> None:
    assert most_frequent_share([0, 1, 1, 2]) == 0.5
