"""Adafactor (Shazeer & Stern 2018) over banks of slots: each slot is updated as if it were alone.

A parameter is (slots, *shape). Parameters of one shape are updated in one go, since a method has dozens of small
ones. With one slot the updates are those of `transformers.Adafactor` without relative steps and momentum.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tfew_pl.entries import CLIP_THRESHOLD, EPSILON_GRADIENT, EPSILON_SCALE, Entries, EntriesUpdate

DECAY = -0.8
"""The second moment's decay is 1 - step ** DECAY (Section 7.2)."""
TOGETHER = 1 << 16
"""Parameters of up to this many values are updated together; larger ones alone, so that no copy is made."""


def _decay(step: int) -> float:
    return float(1.0 - step**DECAY)


def _rms(stacked: Tensor) -> Tensor:
    """Root mean square by parameter and slot: (parameters, slots, *shape) -> (parameters, slots, 1, ...)."""
    return stacked.square().mean(dim=tuple(range(2, stacked.ndim)), keepdim=True).sqrt()


class SlotAdafactor(torch.optim.Optimizer):
    """Adafactor with an external learning rate.

    The squared gradient's average is factored into rows and columns where a slot's parameter has two or more
    dimensions, so that memory is that of the rows and columns.

    Args:
        parameters: each (slots, *shape).
        lr: learning rate.
        scale_parameter: multiply the step by max(epsilon_2, RMS(parameter)) (Alg. 4).
        entries: of the parameters that are entries of tensors, where these stand; they are updated as if the tensors
            were parameters and all else had a gradient of zero.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        scale_parameter: bool = True,
        entries: Mapping[nn.Parameter, Entries] | None = None,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "scale_parameter": scale_parameter, "step": 0})
        self._entries = EntriesUpdate(entries) if entries else None
        self._apart = set(entries or ())

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["step"] += 1
            if self._entries is not None and any(p in self._apart for p in group["params"]):
                state = self.state[self._entries.parameters[0]]
                self._entries.step(state, group["lr"], _decay(group["step"]), group["scale_parameter"])
            for parameters in _of_one_shape(p for p in group["params"] if p not in self._apart):
                self._update(parameters, group["lr"], group["step"], group["scale_parameter"])
        return loss

    def _update(self, parameters: list[nn.Parameter], lr: float, step: int, scale_parameter: bool) -> None:
        gradient = _stack([p.grad for p in parameters if p.grad is not None])  # (parameters, slots, *shape)
        decay = _decay(step)
        squared = gradient.square() + EPSILON_GRADIENT
        if gradient.ndim > 3:
            rows = self._average(parameters, "row", squared.mean(-1), decay)
            columns = self._average(parameters, "column", squared.mean(-2), decay)
            factor = (rows / rows.mean(-1, keepdim=True)).rsqrt().unsqueeze(-1) * columns.rsqrt().unsqueeze(-2)
        else:
            factor = self._average(parameters, "square", squared, decay).rsqrt()
        update = factor * gradient
        update = update / (_rms(update) / CLIP_THRESHOLD).clamp(min=1.0)
        if scale_parameter:
            scale = _rms(_stack([p.detach() for p in parameters]))
            update = update * scale.clamp(min=EPSILON_SCALE)
        torch._foreach_add_(list[Tensor](parameters), list(update.to(parameters[0].dtype)), alpha=-lr)

    def _average(self, parameters: list[nn.Parameter], name: str, value: Tensor, decay: float) -> Tensor:
        """Moves the running averages of some parameters towards new values, and returns them stacked."""
        for parameter, new in zip(parameters, value, strict=True):
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(new)
        averages = [self.state[parameter][name] for parameter in parameters]
        torch._foreach_lerp_(averages, list(value), 1.0 - decay)
        return _stack(averages)


def _of_one_shape(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters with a gradient, those that can be updated together in one list."""
    groups: dict[Any, list[nn.Parameter]] = defaultdict(list)
    for number, parameter in enumerate(parameters):
        if parameter.grad is not None:
            large = parameter.numel() > TOGETHER
            groups[(parameter.shape, parameter.dtype, number if large else -1)].append(parameter)
    return list(groups.values())


def _stack(tensors: list[Tensor]) -> Tensor:
    stacked = tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)
    return stacked.float()


def clip_slots(parameters: Iterable[nn.Parameter], largest: float) -> None:
    """Scales the gradient of each slot whose norm, over all parameters, is above `largest` down to it."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    scale = (largest / (_norms(gradients) + 1e-6)).clamp(max=1.0)  # (slots,)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))


def slot_norms(parameters: Iterable[nn.Parameter], slots: int) -> Tensor:
    """(slots,), the norms of the slots' gradients over all parameters.

    Args:
        parameters: each (slots, *shape); of any shape where there is one slot.
        slots: how many.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    return _norms([gradient.reshape(1, -1) for gradient in gradients] if slots == 1 else gradients)


def _norms(gradients: Iterable[Tensor]) -> Tensor:
    return torch.stack([g.detach().float().square().flatten(1).sum(1) for g in gradients]).sum(0).sqrt()
