"""Against transformers' Adafactor on the whole tensors, whose other gradients are zero."""

import copy

import pytest
import torch
from torch import Tensor, nn
from transformers import Adafactor

from tfew_pl.adafactor import SlotAdafactor
from tfew_pl.entries import Entries

SHAPES = [(9,), (5, 6), (40, 3), (7, 7)]


def _chosen(generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Whole tensors, and some places of each; of some rows and columns none, of others several."""
    wholes = [torch.randn(shape, generator=generator) * 10.0**-number for number, shape in enumerate(SHAPES)]
    return [(whole, torch.randperm(whole.numel(), generator=generator)[: 2 + i].sort().values.int())
            for i, whole in enumerate(wholes)]  # fmt: skip


def _parameters(chosen: list[tuple[Tensor, Tensor]]) -> dict[nn.Parameter, Entries]:
    found = {}
    for whole, places in chosen:
        values = whole.flatten()[places.long()]
        others = whole.square().sum() - values.square().sum()
        found[nn.Parameter(values.clone().unsqueeze(0))] = Entries(whole.shape, places, others)
    return found


@pytest.mark.parametrize("scale_parameter", [True, False])
def test_entries_move_as_in_the_whole_tensor(scale_parameter: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    chosen = _chosen(generator)
    entries = _parameters(chosen)
    beside = nn.Parameter(torch.randn(1, 4, 3, generator=generator))  # one that is whole itself
    ours = SlotAdafactor([*entries, beside], 3e-3, scale_parameter, entries)
    wholes = [nn.Parameter(whole.clone()) for whole, _ in chosen]
    other = nn.Parameter(beside.detach()[0].clone())
    theirs = Adafactor([*wholes, other], lr=3e-3, scale_parameter=scale_parameter, relative_step=False)
    for _ in range(6):
        for parameter, (_, places), whole in zip(entries, chosen, wholes, strict=True):
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            whole.grad = torch.zeros(whole.numel()).index_copy(0, places.long(), parameter.grad[0]).view_as(whole)
        beside.grad = torch.randn(beside.shape, generator=generator)
        other.grad = beside.grad[0].clone()
        ours.step()
        theirs.step()
    for parameter, (before, places), whole in zip(entries, chosen, wholes, strict=True):
        torch.testing.assert_close(parameter.detach()[0], whole.detach().flatten()[places.long()])
        assert not torch.equal(parameter.detach()[0], before.flatten()[places.long()])
    torch.testing.assert_close(beside.detach()[0], other.detach())


def test_state_survives_saving() -> None:
    generator = torch.Generator().manual_seed(1)
    entries = _parameters(_chosen(generator))
    copied = copy.deepcopy(entries)
    one, other = (SlotAdafactor(some, 0.1, entries=some) for some in (entries, copied))
    gradients = [torch.randn(p.shape, generator=generator) for p in entries]
    for parameter, gradient in zip(entries, gradients, strict=True):
        parameter.grad = gradient
    one.step()
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    with torch.no_grad():
        for parameter, twin, gradient in zip(entries, copied, gradients, strict=True):
            twin.copy_(parameter)
            twin.grad = parameter.grad = gradient.square()
    one.step()
    other.step()
    for parameter, twin in zip(entries, copied, strict=True):
        assert torch.equal(parameter, twin)


def test_entries_without_gradient_stay() -> None:
    entries = _parameters(_chosen(torch.Generator().manual_seed(2)))
    before = [parameter.detach().clone() for parameter in entries]
    SlotAdafactor(entries, 0.1, entries=entries).step()
    assert all(torch.equal(parameter, old) for parameter, old in zip(entries, before, strict=True))


def test_entries_move_once_beside_another_group() -> None:
    generator = torch.Generator().manual_seed(3)
    entries = _parameters(_chosen(generator))
    twins = copy.deepcopy(entries)
    for parameter, twin in zip(entries, twins, strict=True):
        twin.grad = parameter.grad = torch.randn(parameter.shape, generator=generator)
    other = nn.Parameter(torch.randn(1, 3, generator=generator))
    two = SlotAdafactor(entries, 0.1, entries=entries)
    two.add_param_group({"params": [other], "lr": 0.1, "scale_parameter": True, "step": 0})
    two.step()
    SlotAdafactor(twins, 0.1, entries=twins).step()
    assert all(torch.equal(parameter, twin) for parameter, twin in zip(entries, twins, strict=True))
