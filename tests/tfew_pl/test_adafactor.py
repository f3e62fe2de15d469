"""Against transformers' Adafactor, slot by slot."""

import copy

import pytest
import torch
from torch import Tensor, nn
from transformers import Adafactor

from tfew_pl.adafactor import TOGETHER, SlotAdafactor, clip_slots

SHAPES = [(7,), (7,), (5,), (4, 6), (4, 6), (2, 3, 4)]
SLOTS = 3


def _parameters(generator: torch.Generator, slots: int, large: bool = False) -> list[nn.Parameter]:
    shapes = [*SHAPES, (300, 250)] if large else SHAPES
    return [nn.Parameter(torch.randn(slots, *shape, generator=generator)) for shape in shapes]


def _reference(values: list[Tensor], scale_parameter: bool) -> tuple[list[nn.Parameter], Adafactor]:
    """transformers' optimizer on one slot's tensors."""
    parameters = [nn.Parameter(value.clone()) for value in values]
    return parameters, Adafactor(
        parameters, lr=3e-3, scale_parameter=scale_parameter, relative_step=False, warmup_init=False
    )


@pytest.mark.parametrize("scale_parameter", [True, False])
def test_each_slot_moves_as_transformers_moves_it(scale_parameter: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = _parameters(generator, SLOTS)
    optimizer = SlotAdafactor(ours, lr=3e-3, scale_parameter=scale_parameter)
    alone = [_reference([p.detach()[slot] for p in ours], scale_parameter) for slot in range(SLOTS)]
    for step in range(6):
        for number, parameter in enumerate(ours):
            # Slots of very different gradients, so that any mixing of their statistics would show.
            size = torch.tensor([0.01, 1.0, 100.0]).view(-1, *[1] * (parameter.ndim - 1))
            parameter.grad = torch.randn(parameter.shape, generator=generator) * size
            for slot, (theirs, _) in enumerate(alone):
                theirs[number].grad = parameter.grad[slot].clone()
        rate = 3e-3 * (step + 1) / 6
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        for _, reference in alone:
            reference.param_groups[0]["lr"] = rate
            reference.step()
    for slot, (theirs, _) in enumerate(alone):
        for parameter, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(parameter.detach()[slot], other.detach(), atol=1e-6, rtol=1e-5)


def test_large_parameters_are_updated_alike() -> None:
    generator = torch.Generator().manual_seed(1)
    ours = _parameters(generator, 1, large=True)
    assert ours[-1].numel() > TOGETHER
    optimizer = SlotAdafactor(ours, lr=3e-3)
    theirs, reference = _reference([p.detach()[0] for p in ours], True)
    for _ in range(3):
        for parameter, other in zip(ours, theirs, strict=True):
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            other.grad = parameter.grad[0].clone()
        optimizer.step()
        reference.step()
    for parameter, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(parameter.detach()[0], other.detach(), atol=1e-6, rtol=1e-5)


def test_a_parameter_without_gradient_stays() -> None:
    first, second = nn.Parameter(torch.ones(1, 3)), nn.Parameter(torch.ones(1, 3))
    first.grad = torch.ones(1, 3)
    SlotAdafactor([first, second], lr=0.1).step()
    assert not torch.equal(first.detach(), torch.ones(1, 3))
    assert torch.equal(second.detach(), torch.ones(1, 3))


def test_a_zero_parameter_moves_a_thousandth_as_far() -> None:
    """Shazeer & Stern 2018, Alg. 4: the step is scaled by max(1e-3, RMS(parameter)); the first update has RMS 1."""
    zero, one = nn.Parameter(torch.zeros(1, 4)), nn.Parameter(torch.ones(1, 4))
    for parameter in (zero, one):
        parameter.grad = torch.full((1, 4), 2.0)
    SlotAdafactor([zero, one], lr=0.5).step()
    torch.testing.assert_close(zero.detach(), torch.full((1, 4), -0.5e-3))
    torch.testing.assert_close(one.detach(), torch.full((1, 4), 0.5))


def test_state_survives_saving() -> None:
    generator = torch.Generator().manual_seed(2)
    ours = _parameters(generator, 2)
    optimizer = SlotAdafactor(ours, lr=1e-2)
    gradients = [[torch.randn(p.shape, generator=generator) for p in ours] for _ in range(4)]

    def advance(parameters: list[nn.Parameter], by: SlotAdafactor, values: list[list[Tensor]]) -> None:
        for step in values:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = gradient.clone()
            by.step()

    advance(ours, optimizer, gradients[:2])
    copies = [nn.Parameter(p.detach().clone()) for p in ours]
    resumed = SlotAdafactor(copies, lr=1e-2)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    advance(ours, optimizer, gradients[2:])
    advance(copies, resumed, gradients[2:])
    assert all(torch.equal(p, q) for p, q in zip(ours, copies, strict=True))


def test_clipping_is_by_slot() -> None:
    first, second = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2, 2, 2))
    first.grad = torch.tensor([[3.0, 0.0, 0.0], [0.3, 0.0, 0.0]])
    second.grad = torch.tensor([[[4.0, 0.0], [0.0, 0.0]], [[0.4, 0.0], [0.0, 0.0]]])
    clip_slots([first, second], 1.0)
    # Slot 0 has the norm 5 and is scaled by 1/5; slot 1 has the norm 0.5 and stays.
    torch.testing.assert_close(first.grad[:, 0], torch.tensor([0.6, 0.3]))
    torch.testing.assert_close(second.grad[:, 0, 0], torch.tensor([0.8, 0.4]))
