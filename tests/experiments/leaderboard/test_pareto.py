"""The accuracy-cost figure: its front and its layout."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.leaderboard.board import Board, Row
from experiments.leaderboard.labels import RADIUS, SIZE
from experiments.leaderboard.pareto import AXES, figure, on_front
from experiments.leaderboard.text_width import text_width
from experiments.statistics import Spread
from tfew_pl.spec import Evaluation

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    """By another definition: sorted by cost, a point is on the front if it is the best of its cost, and better than
    all that cost less.
    """
    best = {cost: max(a for c, a in points if c == cost) for cost, _ in points}
    for (cost, accuracy), flag in zip(points, on_front(points), strict=True):
        cheaper = [a for c, a in points if c < cost]
        assert flag == (accuracy == best[cost] and accuracy > max(cheaper, default=-1))


def at(row: Row, number: int, cost: float, accuracy: float) -> Row:
    tasks = tuple(dataclasses.replace(task, accuracy=Spread(accuracy, accuracy, accuracy)) for task in row.tasks)
    return dataclasses.replace(row, source=str(number), tasks=tasks, costs={**row.costs, "measured_stored_bytes": cost})


@pytest.fixture
def row(example: Board) -> Row:
    return example.sections[0].rows[0]


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 7e3, 1e4, 3e11]), st.floats(0, 100)), min_size=1, max_size=20))
def test_everything_stands_inside_and_no_label_covers_another(
    example: Board, points: list[tuple[float, float]]
) -> None:
    rows = [at(example.sections[0].rows[0], i, *point) for i, point in enumerate(points)]
    drawn = figure(rows, AXES[2])
    assert len(drawn.marks) == len(rows)
    boxes = []
    for mark in drawn.marks:
        assert drawn.left <= mark.x <= drawn.right
        assert drawn.top <= mark.y <= drawn.bottom
        if mark.label:
            y, width = mark.label.y, text_width(mark.name, SIZE)
            left = mark.label.x - {"start": 0, "end": width, "middle": width / 2}[mark.label.anchor]
            assert 0 <= left <= left + width <= drawn.width
            assert 0 <= y - 10 <= y <= drawn.height
            boxes.append((left, y - 10, left + width, y))
    for one, other in itertools.combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for one, other in itertools.combinations(drawn.marks, 2):
        assert math.dist((one.x, one.y), (other.x, other.y)) >= RADIUS  # neither covers the other's center
    for ticks in (drawn.x_ticks, drawn.y_ticks):
        places = [place for place, _ in ticks]
        assert min(abs(a - b) for a, b in itertools.pairwise(places)) > 14


def test_what_costs_nothing_has_a_place_of_its_own(row: Row) -> None:
    drawn = figure([at(row, 0, 0, 60), at(row, 1, 1e3, 70)], AXES[2])
    assert [label for _, label in drawn.x_ticks][:2] == ["0", "1.0 kB"]
    assert [mark.on_front for mark in drawn.marks] == [True, True]
    assert drawn.marks[0].x < drawn.x_ticks[1][0] == drawn.marks[1].x


def test_the_front_is_drawn_in_steps(row: Row) -> None:
    drawn = figure([at(row, i, cost, acc) for i, (cost, acc) in enumerate([(10, 60), (100, 80), (1000, 70)])], AXES[2])
    one, two, _ = drawn.marks
    assert drawn.path == f"M {one.x:.1f} {one.y:.1f} H {two.x:.1f} V {two.y:.1f} H {drawn.right}"
    assert drawn.front == [one, two]


def test_the_front_goes_through_true_places_where_marks_are_moved(row: Row) -> None:
    """Two of almost the same cost and accuracy; one step to the right and up, whichever way the second is moved."""
    drawn = figure([at(row, 0, 100, 60), at(row, 1, 101, 60.1), at(row, 2, 1e6, 40)], AXES[2])
    assert math.dist(*((mark.x, mark.y) for mark in drawn.front)) >= RADIUS
    _, x, y, _, next_x, _, next_y, _, _ = drawn.path.split()
    assert float(x) <= float(next_x) < float(x) + 2
    assert float(y) - 2 < float(next_y) <= float(y)


def test_a_mark_stands_at_its_place_where_that_is_free(row: Row) -> None:
    """Two of one cost and accuracy and a third far away, and one on the front, which chooses first."""
    alike = [at(row, i, 100, 60) for i in range(3)]
    ablation = dataclasses.replace(at(row, 4, 1000, 80), changes=("without pretraining",))
    marks = {mark.row.source: mark for mark in figure([*alike, ablation, at(row, 5, 1000, 80)], AXES[2]).marks}
    x_of_100, x_of_1000 = (
        x for x, label in figure([*alike, ablation], AXES[2]).x_ticks if label in ("100 B", "1.0 kB")
    )
    assert marks["0"].x == x_of_100
    assert (marks["5"].x, marks["5"].on_front) == (x_of_1000, True)
    for i in "12":
        assert math.hypot(marks[i].x - x_of_100, marks[i].y - marks["0"].y) == pytest.approx(RADIUS)
    assert math.hypot(marks["4"].x - x_of_1000, marks["4"].y - marks["5"].y) == pytest.approx(8)


def test_a_mark_that_is_moved_is_tied_to_its_place(row: Row) -> None:
    """What has a rank chooses before what has none, though that is cheaper."""
    ablations = [dataclasses.replace(at(row, i, 999, 60), changes=("without pretraining",)) for i in range(1, 4)]
    drawn = figure([at(row, 0, 1, 90), *ablations, at(row, 4, 1000, 60)], AXES[2])
    marks = {mark.row.source: mark for mark in drawn.marks}
    x_of_1000 = next(x for x, label in drawn.x_ticks if label == "1.0 kB")
    assert marks["4"].x == x_of_1000
    assert marks["4"].tether is None
    tied = [mark.tether for mark in marks.values() if mark.tether]
    assert len(tied) == 3
    assert {(round(x), y) for *_, x, y in tied} == {(round(x_of_1000), round(marks["4"].y, 1))}


def test_what_is_not_on_the_front_stands_no_better_than_it_is(row: Row) -> None:
    """A crowd below and to the right of one mark; where they would stand alone is where the front's line leads."""
    rows = [at(row, 0, 100, 60), *(at(row, i, 100 + i / 10, 60 - i / 100) for i in range(1, 40))]
    drawn = figure([*rows, at(row, 40, 1e6, 40)], AXES[2])
    first = next(mark for mark in drawn.marks if mark.on_front)
    _, x, y, *_ = drawn.path.split()
    assert (first.x, first.y) == pytest.approx((float(x), float(y)), abs=0.1)
    for mark in drawn.marks:
        if not mark.on_front:
            assert mark.x >= first.x
            assert mark.y >= first.y


def test_the_frame_grows_for_marks_that_are_set_apart(row: Row) -> None:
    drawn = figure([at(row, 0, 1, 60), *(at(row, i, 1e6, 5) for i in range(1, 20))], AXES[2])
    assert drawn.right >= max(mark.x for mark in drawn.marks) > drawn.x_ticks[-1][0]
    assert drawn.bottom >= max(mark.y for mark in drawn.marks) > drawn.y_ticks[0][0]


def test_accuracies_end_at_100(row: Row) -> None:
    for accuracies in ((99.5, 70), (100, 100), (100, 0)):
        drawn = figure([at(row, i, 10, accuracy) for i, accuracy in enumerate(accuracies)], AXES[2])
        assert max(int(label) for _, label in drawn.y_ticks) <= 100
        assert min(mark.y for mark in drawn.marks) >= drawn.top


def test_costs_below_one_are_none(row: Row) -> None:
    """Of logarithms of them there would be no end."""
    drawn = figure([at(row, 0, 5e-324, 60), at(row, 1, 1e3, 70)], AXES[2])
    assert [label for _, label in drawn.x_ticks][:2] == ["0", "1.0 kB"]


def test_rows_of_one_method_are_told_apart(row: Row) -> None:
    changed = dataclasses.replace(at(row, 1, 10, 50), changes=("without pretraining",))
    drawn = figure([at(row, 0, 0, 60), changed], AXES[2])
    assert [mark.name for mark in drawn.marks] == ["ia3", "ia3 without pretraining"]
    other = dataclasses.replace(changed, spec=dataclasses.replace(row.spec, backbone="t0"))
    drawn = figure([at(row, 0, 0, 60), other], AXES[2])
    assert [mark.name for mark in drawn.marks] == ["ia3 (pocket-t0)", "ia3 (t0) without pretraining"]


def test_many_changes_are_left_to_the_tooltip(row: Row) -> None:
    longer = dataclasses.replace(at(row, 1, 1e3, 40), changes=("recipe.learning_rate=0.001", "recipe.steps=2000"))
    long, short = figure([at(row, 0, 0, 60), longer], AXES[2]).marks[::-1]
    assert (short.name, long.name) == ("ia3", "ia3 …")
    assert short.label
    assert long.label


def test_of_many_marks_the_front_and_the_best_of_each_method_have_labels(row: Row) -> None:
    lora = dataclasses.replace(row, spec=dataclasses.replace(row.spec, method="lora"))
    changed = dataclasses.replace(lora, changes=("without pretraining",))
    rows = [at(row, 0, 0, 60), *(at(changed, i, 10.0**i, 60 - 2 * i) for i in range(1, 25))]
    rows.append(at(lora, 25, 1e25, 10))
    drawn = figure(rows, AXES[2])
    assert [(mark.name, mark.accuracy) for mark in drawn.marks if mark.label] == [
        ("ia3", 60),
        ("lora", 10),
    ]  # with a rank
    drawn = figure(rows[:10], AXES[2])
    assert [mark.name for mark in drawn.marks if mark.label] == ["ia3"] + 9 * ["lora without pretraining"]


def test_in_a_crowd_all_of_the_front_have_labels(row: Row) -> None:
    """Marks side by side on a slope so steep that there is no room beside them, and ablations all around."""
    front = [
        dataclasses.replace(
            at(row, i, 1e3 * 1.03**i, 50 + i), spec=dataclasses.replace(row.spec, method=f"prompt-tuning-{i}")
        )
        for i in range(12)
    ]
    ablation = dataclasses.replace(row, changes=("without pretraining",))
    others = [at(ablation, 100 + i, 10 ** (2.5 + i % 8 / 4), 48 + i // 8) for i in range(80)]
    drawn = figure([*front, *others], AXES[2])
    assert [mark.name for mark in drawn.front if mark.label] == [f"prompt-tuning-{i}" for i in range(12)]
    assert any(mark.label.leader for mark in drawn.front if mark.label)


def test_rows_without_a_mean_are_not_drawn(row: Row) -> None:
    drawn = figure([row, dataclasses.replace(row, asked=12, source="x")], AXES[0])
    assert [mark.row for mark in drawn.marks] == [row]
    with pytest.raises(ValueError, match="no rows"):
        figure([dataclasses.replace(row, asked=12)], AXES[0])


def test_the_front_is_of_rows_with_a_rank(row: Row) -> None:
    """Whoever was evaluated on less would stand before all."""
    limited = dataclasses.replace(row, spec=dataclasses.replace(row.spec, evaluation=Evaluation(examples=32)))
    drawn = figure([at(limited, 0, 10, 90), at(row, 1, 1000, 70)], AXES[2])
    assert [mark.on_front for mark in drawn.marks] == [False, True]
    alone = figure([at(limited, 0, 10, 90)], AXES[2])
    assert (alone.front, alone.path) == ([], "")
