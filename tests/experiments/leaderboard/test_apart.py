"""Marks set apart."""

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from experiments.leaderboard.apart import APART, apart, tether
from experiments.leaderboard.labels import RADIUS

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2)), max_size=20)


@given(POINTS)
def test_each_can_be_pointed_at_and_none_is_better_than_it_is(points: list[tuple[int, int, int]]) -> None:
    places = [(float(x), float(y)) for x, y, _ in points]
    moved = apart(places, [importance for *_, importance in points])
    for i, j in itertools.combinations(range(len(points)), 2):
        assert math.dist(moved[i], moved[j]) >= (RADIUS if points[i][2] == points[j][2] == 0 else APART)
    for (x, y), (new_x, new_y) in zip(places, moved, strict=True):
        assert new_x >= x
        assert new_y >= y  # which is downwards


def test_the_more_important_stay_where_they_are() -> None:
    assert apart([(1.0, 1.0), (0.0, 0.0), (4.0, 3.0)], [1, 0, 0])[1:] == [(0.0, 0.0), (4.0, 3.0)]
    assert apart([(0.0, 0.0), (0.0, 0.0)], [1, 0])[1] == (0.0, 0.0)
    assert apart([(0.0, 0.0), (1.0, 0.0)], [2, 1])[1] == (1.0, 0.0)


def test_a_mark_away_from_its_place_is_tied_to_it() -> None:
    assert tether((3.0, 4.0), (3.0, 4.0)) is None
    assert tether((0.0, 0.0), (3.0, 4.0)) is None  # under the mark
    line = tether((0.0, 0.0), (6.0, 8.0))
    assert line == (3.0, 4.0, 0.0, 0.0)
