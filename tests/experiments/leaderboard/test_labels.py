"""Where labels stand."""

import itertools

import pytest

from experiments.leaderboard.labels import RADIUS, Label, Named, labels
from experiments.leaderboard.text_width import text_width

FRAME = (0.0, 0.0, 300.0, 200.0)


def box(name: str, label: Label) -> tuple[float, float, float, float]:
    width = text_width(name, 13)
    left = label.x - {"start": 0, "end": width, "middle": width / 2}[label.anchor]
    return left, label.y - 12, left + width, label.y + 3


def test_beside_its_mark_where_there_is_room() -> None:
    found = labels([Named(100, 100, "ia3")], [0], [], FRAME)
    assert found == {0: Label(108, 104, "start")}
    beyond = labels([Named(295, 100, "ia3")], [0], [], FRAME)
    assert beyond == {0: Label(287, 104, "end")}


def test_none_where_there_is_no_room() -> None:
    assert labels([Named(100, 100, "ia3")], [0], [FRAME], FRAME) == {}
    assert labels([Named(100, 100, "x" * 100, always=True)], [0], [], FRAME) == {}


@pytest.mark.parametrize("always", [True, False])
def test_in_a_crowd_it_stands_apart_with_a_leader(always: bool) -> None:
    """A mark amid others, whose label clears them all."""
    crowd = [Named(60.0 + 12 * i, 50.0 + 12 * j, "") for i, j in itertools.product(range(9), range(9))]
    middle = Named(108.0, 98.0, "prompt-tuning-10", always=always)
    marks = [mark for mark in crowd if (mark.x, mark.y) != (middle.x, middle.y)]
    found = labels([middle, *marks], [0], [], FRAME)
    assert bool(found) == always
    for label in found.values():
        left, top, right, bottom = box(middle.name, label)
        assert 0 <= left < right <= 300
        assert 0 <= top < bottom <= 200
        for mark in marks:
            assert (
                right < mark.x - RADIUS or left > mark.x + RADIUS or bottom < mark.y - RADIUS or top > mark.y + RADIUS
            )
        assert label.leader
        x, y, end_x, end_y = label.leader
        assert (x - middle.x) ** 2 + (y - middle.y) ** 2 == pytest.approx(RADIUS**2, abs=1)
        assert left - 2 <= end_x <= right + 2
        assert top - 2 <= end_y <= bottom + 2


def test_a_leader_passes_by_other_marks() -> None:
    """Straight down is nearer, but a mark stands there."""
    walls = [(0.0, 90.0, 140.0, 110.0), (160.0, 90.0, 300.0, 110.0), (0.0, 60.0, 300.0, 92.0)]
    marks = [Named(150, 100, "middle", always=True), Named(150, 114, "")]
    label = labels(marks, [0], [*walls, (0.0, 110.0, 300.0, 135.0)], FRAME)[0]
    assert label.leader
    x, _, end_x, _ = label.leader
    assert abs(x - 150) > 1 or abs(end_x - 150) > 1 or label.y < 60


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_most_important_comes_first(order: list[int]) -> None:
    marks = [Named(10, 100, "one"), Named(72, 100, "two")]
    between = (0.0, 92.0, 80.0, 108.0)  # there is room for one name
    assert list(labels(marks, order, [], between)) == order[:1]
