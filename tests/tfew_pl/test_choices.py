import math

import pytest
import torch

from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.encoding import Encoded, collate


@pytest.fixture
def batch() -> ChoiceBatch:
    return collate(
        [
            Encoded((3, 4, 5, 1), ((6, 1), (7, 8, 9, 1), (6, 7, 1)), 1, slot=1),
            Encoded((4, 1), ((9, 1), (8, 1)), 0, slot=0),
            Encoded((5, 6, 1), ((7, 1), (8, 9, 1)), 1, slot=2),
        ]
    )


def test_some_examples_leave_the_padding_of_the_others_behind(batch: ChoiceBatch) -> None:
    taken = batch.take(torch.tensor([2, 1]))
    assert taken.input_ids.tolist() == [[5, 6, 1], [4, 1, 0]]
    assert taken.input_mask.tolist() == [[True, True, True], [True, True, False]]
    assert taken.choice_ids.tolist() == [[[7, 1, 0], [8, 9, 1]], [[9, 1, 0], [8, 1, 0]]]
    assert taken.choice_mask.sum().item() == 2 + 3 + 2 + 2
    assert taken.gold.tolist() == [1, 0]
    assert taken.slot is not None
    assert taken.slot.tolist() == [2, 0]


def test_the_correct_choices_alone(batch: ChoiceBatch) -> None:
    gold = batch.only_gold()
    assert gold.choice_ids.tolist() == [[[7, 8, 9, 1]], [[9, 1, 0, 0]], [[8, 9, 1, 0]]]
    assert gold.choice_mask.sum(-1).tolist() == [[4], [2], [3]]
    assert gold.gold.tolist() == [0, 0, 0]
    assert gold.input_ids.equal(batch.input_ids)
    assert batch.take(torch.tensor([1, 2])).only_gold().choice_ids.tolist() == [[[9, 1, 0]], [[8, 9, 1]]]


@pytest.mark.parametrize("normalized", [False, True])
def test_total_sums_or_averages_and_leaves_out_missing_choices(normalized: bool) -> None:
    log_probability = torch.tensor([[[-1.0, -3.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    mask = torch.tensor([[[1, 1, 0], [1, 0, 0], [0, 0, 0]]]).bool()
    total = ChoiceScores(log_probability, torch.zeros(1, 3, 3)).total(mask, normalized)
    assert total.tolist() == [[-2.0 if normalized else -4.0, -2.0, -math.inf]]
