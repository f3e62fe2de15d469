"""Marks set apart."""

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from experiments.leaderboard.apart import APART, apart
from experiments.leaderboard.labels import RADIUS

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=20)


@given(POINTS)
def test_each_can_be_pointed_at_and_none_is_better_than_it_is(points: list[tuple[int, int, bool]]) -> None:
    places = [(float(x), float(y)) for x, y, _ in points]
    moved = apart(places, [front for *_, front in points])
    for i, j in itertools.combinations(range(len(points)), 2):
        assert math.dist(moved[i], moved[j]) >= (RADIUS if points[i][2] and points[j][2] else APART)
    for (x, y), (new_x, new_y) in zip(places, moved, strict=True):
        assert new_x >= x
        assert new_y >= y  # which is downwards


def test_the_front_stays_where_it_is() -> None:
    assert apart([(1.0, 1.0), (0.0, 0.0), (4.0, 3.0)], [False, True, True])[1:] == [(0.0, 0.0), (4.0, 3.0)]
    assert apart([(0.0, 0.0), (0.0, 0.0)], [False, True])[1] == (0.0, 0.0)
