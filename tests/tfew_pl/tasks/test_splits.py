import numpy as np
import pytest

from tfew_pl.errors import UserError
from tfew_pl.tasks.splits import OFFICIAL_SEEDS, few_shot_indices, leave_out


def _official(size: int, shots: int, seed: int) -> list[int]:
    """The release's way, on NumPy's global generator."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        indices = list(range(size))
        np.random.shuffle(indices)  # noqa: NPY002
        return indices[:shots]
    finally:
        np.random.set_state(state)  # noqa: NPY002


def test_official_seeds() -> None:
    assert OFFICIAL_SEEDS == (42, 1024, 0, 1, 32)


@pytest.mark.parametrize("seed", OFFICIAL_SEEDS)
@pytest.mark.parametrize(("size", "shots"), [(2490, 32), (250, 32), (1871, 70), (50, 50), (1, 1), (16946, 50)])
def test_indices_are_the_official_ones(size: int, shots: int, seed: int) -> None:
    assert few_shot_indices(size, shots, seed) == _official(size, shots, seed)


def test_indices_are_plain_integers_drawn_once() -> None:
    indices = few_shot_indices(100, 100, 42)
    assert sorted(indices) == list(range(100))
    assert all(type(index) is int for index in indices)


def test_global_state_is_left_alone() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    few_shot_indices(100, 10, 3)
    assert (np.random.get_state(legacy=False)["state"]["key"] == before).all()  # noqa: NPY002


def test_more_shots_than_examples() -> None:
    with pytest.raises(UserError, match="33 few-shot examples were asked of a training set of 32"):
        few_shot_indices(32, 33, 0)


def test_parts_are_left_out_in_the_datasets_order() -> None:
    """As the release cuts RAFT's 50 examples: 0-9, 10-19 and so on, whatever the order of training."""
    indices = few_shot_indices(50, 50, 42)
    for part in range(5):
        kept, left_out = leave_out(indices, part, 5)
        assert left_out == list(range(10 * part, 10 * part + 10))
        assert kept == [index for index in indices if index not in left_out]


@pytest.mark.parametrize(("shots", "parts"), [(32, 5), (7, 5), (5, 5), (20, 3)])
def test_every_example_is_left_out_once(shots: int, parts: int) -> None:
    indices = few_shot_indices(100, shots, 0)
    left_out = [leave_out(indices, part, parts)[1] for part in range(parts)]
    assert [index for part in left_out for index in part] == sorted(indices)
    assert max(map(len, left_out)) - min(map(len, left_out)) <= 1


def test_fewer_examples_than_parts() -> None:
    with pytest.raises(UserError, match="4 few-shot examples cannot be left out in 5 parts"):
        leave_out([3, 1, 2, 0], 0, 5)
