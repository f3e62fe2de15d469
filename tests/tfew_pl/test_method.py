from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation, Method, ParameterCounts
from tfew_pl.setting import Setting


@dataclass(frozen=True)
class _Config:
    rank: int = 4


class _Nothing(Method):
    name = "nothing"
    summary = "does nothing"
    Config = _Config

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> Adaptation:
        assert not any(p.requires_grad for p in backbone.parameters())
        adaptation = Adaptation(slots)
        adaptation.vectors = nn.Parameter(torch.zeros(slots, 3, device=next(backbone.parameters()).device))
        return adaptation


class _OfWeights(_Nothing):
    name = "of-weights"
    slotted = False
    needs_setting = True


def _attach(method: Method, backbone: nn.Module, slots: int = 1) -> Adaptation:
    return method.attach(backbone, slots=slots, generator=torch.Generator())


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


def test_slots_within_slots_end_with_their_block() -> None:
    """As where choices are decoded once more in a backward pass."""
    adaptation = Adaptation(2)
    bank = torch.tensor([[1.0], [2.0]])
    with adaptation.use_slots(torch.tensor([1])):
        with adaptation.use_slots(torch.tensor([0])):
            assert adaptation.select(bank, 1).tolist() == [[1.0]]
        assert adaptation.select(bank, 1).tolist() == [[2.0]]
    assert adaptation.slot_of_example is None


def test_a_failure_in_attaching_leaves_no_trace() -> None:
    class Half(_Nothing):
        def build(self, backbone: nn.Module, **_: Any) -> Adaptation:
            adaptation = Adaptation(1)
            adaptation.on_detach(backbone.register_forward_hook(lambda *_: None).remove)
            adaptation.replace_forward(backbone, lambda x: x)
            raise MemoryError

    backbone = nn.Linear(2, 2)
    with pytest.raises(MemoryError):
        _attach(Half(), backbone)
    assert not backbone._forward_hooks
    assert "forward" not in vars(backbone)
    assert backbone.weight.requires_grad


def test_merging_is_refused_unless_a_method_can() -> None:
    with pytest.raises(UserError, match="cannot be merged"):
        Adaptation(1).merge()


def test_detaching_restores_what_was_trainable() -> None:
    backbone = nn.Linear(2, 2)
    backbone.bias.requires_grad_(False)
    adaptation = _attach(_Nothing(), backbone)
    assert not backbone.weight.requires_grad
    adaptation.detach()
    assert (backbone.weight.requires_grad, backbone.bias.requires_grad) == (True, False)


def test_changes_are_taken_back_last_first() -> None:
    order: list[int] = []
    adaptation = Adaptation(1)
    for number in range(3):
        adaptation.on_detach(lambda number=number: order.append(number))  # type: ignore[misc]
    adaptation.detach()
    adaptation.detach()
    assert order == [2, 1, 0]


def test_a_replaced_forward_comes_back() -> None:
    backbone, x = nn.Linear(2, 2), torch.ones(1, 2)
    before = backbone(x)
    outer, inner = Adaptation(1), Adaptation(1)
    outer.replace_forward(backbone, lambda x: x + 1)
    inner.replace_forward(backbone, lambda x: x + 2)
    assert torch.equal(backbone(x), x + 2)
    inner.detach()
    assert torch.equal(backbone(x), x + 1)
    outer.detach()
    assert torch.equal(backbone(x), before)
    assert "forward" not in vars(backbone)


def test_a_method_of_weights_has_one_slot_and_asks_for_its_setting() -> None:
    with pytest.raises(UserError, match=r"method of-weights cannot have 2 slots \(it changes weights"):
        _attach(_OfWeights(), nn.Linear(2, 2), slots=2)
    backbone = nn.Linear(2, 2)
    with pytest.raises(UserError, match="method of-weights needs the run's training examples"):
        _attach(_OfWeights(), backbone)
    assert backbone.weight.requires_grad


def test_no_slot_is_none() -> None:
    with pytest.raises(UserError, match="method nothing cannot have 0 slots: give it one"):
        _attach(_Nothing(), nn.Linear(2, 2), slots=0)


@pytest.mark.parametrize("kind", [_Nothing, _OfWeights])
def test_parameters_are_counted_without_weights(kind: type[Method]) -> None:
    adaptation = _attach(kind(), nn.Linear(2, 2, device="meta"))
    assert adaptation.counts() == ParameterCounts(trainable=3, stored=3, inference_extra=3)


def test_counts_are_those_of_a_slot() -> None:
    assert _attach(_Nothing(), nn.Linear(2, 2), slots=4).counts().trainable == 3
