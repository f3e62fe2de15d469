from dataclasses import dataclass

import pytest
import torch
from torch import nn

from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation, Method


@dataclass(frozen=True)
class _Config:
    rank: int = 4


class _Nothing(Method):
    name = "nothing"
    summary = "does nothing"
    Config = _Config

    def attach(self, backbone: nn.Module, *, slots: int = 1, generator: torch.Generator) -> Adaptation:
        return Adaptation(slots)


def test_options_fill_the_configuration() -> None:
    assert _Nothing().config == _Config()
    assert _Nothing({"rank": 2}).config.rank == 2


def test_unknown_option_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match="method nothing has no option size; it has rank"):
        _Nothing({"size": 2})


def test_select_gives_each_row_its_slot() -> None:
    adaptation = Adaptation(3)
    bank = torch.tensor([[10.0], [20.0], [30.0]])
    assert adaptation.select(bank, 6).tolist() == [[10.0]]
    with adaptation.use_slots(torch.tensor([2, 0, 1])):
        assert adaptation.select(bank, 3).flatten().tolist() == [30, 10, 20]
        assert adaptation.select(bank, 6).flatten().tolist() == [30, 30, 10, 10, 20, 20]
    assert adaptation.select(bank, 6).tolist() == [[10.0]]


def test_slots_are_forgotten_after_an_error() -> None:
    adaptation = Adaptation(2)
    with pytest.raises(ValueError, match="boom"), adaptation.use_slots(torch.tensor([1])):
        raise ValueError("boom")
    assert adaptation.select(torch.tensor([[1.0], [2.0]]), 1).tolist() == [[1.0]]


def test_merging_is_refused_unless_a_method_can() -> None:
    with pytest.raises(UserError, match="cannot be merged"):
        Adaptation(1).merge()
