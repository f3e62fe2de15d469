from typing import Any

import pytest
import torch

from tfew_pl import pass_costs
from tfew_pl.choice_layout import pays, side_by_side
from tfew_pl.fused import fuse


def test_choices_stand_behind_one_start() -> None:
    ids = torch.tensor([[[5, 6, 1], [7, 1, 0]], [[8, 1, 0], [0, 0, 0]]])
    mask = torch.tensor([[[1, 1, 1], [1, 1, 0]], [[1, 1, 0], [0, 0, 0]]]).bool()
    layout = side_by_side(ids, mask, start=0)
    assert layout.ids.tolist() == [[0, 5, 6, 7], [0, 8, 0, 0]]
    assert layout.position.tolist() == [[0, 1, 2, 1], [0, 1, 0, 0]]
    assert layout.sequence.tolist() == [[-1, 0, 0, 1], [-1, 0, -2, -2]]
    assert layout.present.tolist() == [[True] * 4, [True, True, False, False]]
    # Tokens 5, 6, 1; 7, 1; 8, 1: the first of a choice is scored under the start, others under the one before.
    assert layout.state.tolist() == [0, 1, 2, 0, 3, 4, 5]


def test_rows_may_be_alike() -> None:
    ids = torch.tensor([[[5, 6, 1], [7, 1, 0]], [[8, 1, 0], [0, 0, 0]]])
    mask = torch.tensor([[[1, 1, 1], [1, 1, 0]], [[1, 1, 0], [0, 0, 0]]]).bool()
    layout = side_by_side(ids, mask, start=0, alike=True)
    assert layout.ids.tolist() == [[0, 5, 6, 7, 1], [0, 8, 1, 0, 0]]
    assert layout.position.tolist() == [[0, 1, 2, 1, 2]]
    assert layout.sequence.tolist() == [[-1, 0, 0, 1, 1]]
    assert layout.present.tolist() == [[True, True, True, True, False], [True, True, False, False, False]]
    assert layout.state.tolist() == [0, 1, 2, 0, 3, 5, 6]


def test_choices_of_one_token_are_scored_under_the_start_alone() -> None:
    layout = side_by_side(torch.tensor([[[5], [6]]]), torch.ones(1, 2, 1, dtype=torch.bool), start=0)
    assert (layout.ids.tolist(), layout.state.tolist()) == ([[0]], [0, 0])


@pytest.mark.parametrize(("choices", "pair", "before", "expected"), [
    (1, 1e9, 0, True),  # the same either way
    (9, 0, 0, True),
    (9, 1e9, 0, False),
    (9, 1e9, 300, True),
])  # fmt: skip
def test_a_start_is_shared_where_that_takes_less(
    choices: int, pair: float, before: int, expected: bool, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("untied")
    mask = torch.ones(1, choices, 20, dtype=torch.bool)
    assert not pays(model.decoder, mask, before), "transformers' own stack cannot"
    fuse(model)
    monkeypatch.setattr(pass_costs, "PAIR", pair)
    assert pays(model.decoder, mask, before) is expected
    model.decoder.train()
    assert not pays(model.decoder, mask, before)
