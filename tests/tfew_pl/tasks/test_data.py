import pytest

from tfew_pl.errors import UserError
from tfew_pl.tasks import TASKS, get_task
from tfew_pl.tasks.data import TaskData, load_data


@pytest.mark.parametrize("task", TASKS)
def test_pocket_data_is_large_enough_for_its_few_shot_splits(task: str) -> None:
    data = load_data(task, "pocket")
    assert len(data.train) > 2 * get_task(task).shots
    assert len(data.evaluation) >= 100


def test_fingerprint_follows_every_row_and_its_split() -> None:
    rows = [{"a": 1}, {"a": 2}]
    fingerprint = TaskData(rows, rows[:1]).fingerprint
    assert fingerprint == TaskData([dict(row) for row in rows], rows[:1]).fingerprint
    others = [TaskData(rows[:1], rows), TaskData(rows, rows[1:]), TaskData([*rows, {"a": 1}], []),
              TaskData(rows[::-1], rows[:1]), TaskData([{"a": 1}, {"a": "2"}], rows[:1])]  # fmt: skip
    assert len({fingerprint, *(other.fingerprint for other in others)}) == 6


def test_unknown_source() -> None:
    with pytest.raises(UserError, match=r"--data moon: give 'pocket', 'hub' or a folder"):
        load_data("rte", "moon")


def test_unknown_task_answers_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown task 'hellaswga': did you mean hellaswag"):
        load_data("hellaswga", "pocket")


def test_data_that_the_hub_does_not_give_out() -> None:
    with pytest.raises(UserError, match="story_cloze: the hub does not give this dataset out"):
        load_data("story_cloze", "hub")


def test_unreachable_hub_is_one_line() -> None:
    with pytest.raises(UserError, match=r"task rte: aps/super_glue at 3de24cf.* is not on this machine") as caught:
        load_data("rte", "hub")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("train", "evaluation", "message"),
    [
        ([], [{"premise": "", "hypothesis": "", "label": 0}], "the training split from pocket is empty"),
        (
            [{"premise": "", "hypothesis": "", "label": 0}],
            [{"premise": "", "text": ""}],
            "the evaluation split from pocket lacks hypothesis, label; it has premise, text",
        ),
    ],
)
def test_data_that_does_not_fit_the_task(
    train: list[dict[str, object]],
    evaluation: list[dict[str, object]],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits = {"train": train, "evaluation": evaluation}
    monkeypatch.setattr("tfew_pl.pocket.heldout.rows", lambda _task, split: splits[split])
    load_data.cache_clear()
    with pytest.raises(UserError, match=message):
        load_data("rte", "pocket")
    load_data.cache_clear()
