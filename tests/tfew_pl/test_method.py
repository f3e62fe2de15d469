from dataclasses import dataclass
from types import SimpleNamespace
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


class _Backbone(nn.Linear):
    """A T5 by its configuration."""

    config = SimpleNamespace(model_type="t5")


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

    backbone = _Backbone(2, 2)
    with pytest.raises(MemoryError):
        _attach(Half(), backbone)
    assert not backbone._forward_hooks
    assert "forward" not in vars(backbone)
    assert backbone.weight.requires_grad


def test_merging_is_refused_unless_a_method_can() -> None:
    with pytest.raises(UserError, match="this method cannot be merged"):
        _attach(_Nothing(), _Backbone(2, 2)).merge()


class _Adding(Adaptation):
    """Adds a vector to a bias."""

    def __init__(self, backbone: Any, slots: int) -> None:
        super().__init__(slots)
        self.backbone, self.vector = [backbone], nn.Parameter(torch.ones(slots, 2))
        self.on_detach(backbone.register_forward_hook(lambda _module, _inputs, out: out + self.vector[0]).remove)

    def fold(self) -> None:
        self.backbone[0].bias.add_(self.vector[0])


class _Add(_Nothing):
    def build(self, backbone: nn.Module, *, slots: int, **_: Any) -> Adaptation:
        return _Adding(backbone, slots)


def test_it_is_merged_once() -> None:
    backbone, x = _Backbone(2, 2), torch.ones(1, 2)
    adaptation = _attach(_Add(), backbone)
    assert adaptation.mergeable
    adapted = backbone(x)
    adaptation.merge()
    torch.testing.assert_close(backbone(x), adapted)
    for spent in (adaptation, _attach(_Add(), backbone)):
        spent.detach()
        with pytest.raises(UserError, match="on no backbone cannot be merged: it was detached, or merged before"):
            spent.merge()
    torch.testing.assert_close(backbone(x), adapted)


def test_quantized_weights_are_not_merged_into() -> None:
    adaptation = _attach(_Add(), _Backbone(2, 2))
    adaptation.on_quantized = True
    assert not adaptation.mergeable
    assert adaptation.counts().inference_extra == 2
    with pytest.raises(UserError, match="quantized weights cannot be merged into"):
        adaptation.merge()


def test_a_backbone_has_one_adaptation_at_a_time() -> None:
    """Two that are taken off in another order than they were put on would leave what they found behind."""
    backbone = _Backbone(2, 2)
    adaptation = _attach(_Nothing(), backbone)
    with pytest.raises(UserError, match="method nothing: the backbone has an adaptation; detach or merge that first"):
        _attach(_Nothing(), backbone)
    adaptation.detach()
    _attach(_Nothing(), backbone).detach()


def test_a_backbone_that_does_not_fit_is_refused() -> None:
    class NothingToTrain(_Nothing):
        def build(self, backbone: nn.Module, *, slots: int, **_: Any) -> Adaptation:
            return Adaptation(slots)

    backbone = _Backbone(2, 2)
    with pytest.raises(UserError, match="method nothing has nothing to train on a _Backbone"):
        _attach(NothingToTrain(), backbone)
    assert backbone.weight.requires_grad
    backbone.config = SimpleNamespace(model_type="gpt2")
    with pytest.raises(UserError, match="method nothing needs a backbone of the T5 family, not a gpt2"):
        _attach(_Nothing(), backbone)
    with pytest.raises(UserError, match="not a Linear"):
        _attach(_Nothing(), nn.Linear(2, 2))


@pytest.mark.parametrize("wrong", [[0, 2], [-1, 0]])
def test_a_slot_that_is_not_there(wrong: list[int]) -> None:
    with (
        pytest.raises(UserError, match=r"the adaptation has 2, from 0 to 1"),
        Adaptation(2).use_slots(torch.tensor(wrong)),
    ):
        pass


def test_detaching_restores_what_was_trainable() -> None:
    backbone = _Backbone(2, 2)
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
    backbone, x = _Backbone(2, 2), torch.ones(1, 2)
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
        _attach(_OfWeights(), _Backbone(2, 2), slots=2)
    backbone = _Backbone(2, 2)
    with pytest.raises(UserError, match="method of-weights needs the run's training examples"):
        _attach(_OfWeights(), backbone)
    assert backbone.weight.requires_grad


def test_no_slot_is_none() -> None:
    with pytest.raises(UserError, match="method nothing cannot have 0 slots: give it one"):
        _attach(_Nothing(), _Backbone(2, 2), slots=0)


@pytest.mark.parametrize("kind", [_Nothing, _OfWeights])
def test_parameters_are_counted_without_weights(kind: type[Method]) -> None:
    adaptation = _attach(kind(), _Backbone(2, 2, device="meta"))
    assert adaptation.counts() == ParameterCounts(trainable=3, stored=3, inference_extra=3)


def test_counts_are_those_of_a_slot() -> None:
    assert _attach(_Nothing(), _Backbone(2, 2), slots=4).counts().trainable == 3
