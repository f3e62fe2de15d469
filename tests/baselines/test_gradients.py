"""Every registered method's gradients against central differences in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5LayerNorm

from tfew_pl.encoding import Encoded
from tfew_pl.registry import get_method, registered_methods

STEP = 1e-6


class _ExactNorm(T5LayerNorm):
    """T5's own layer norm takes its mean square in fp32, too coarse for differences."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        mean = hidden_states.square().mean(-1, keepdim=True)
        normalized = hidden_states * (mean + self.variance_epsilon).rsqrt()
        return normalized * self.weight


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("name", sorted(registered_methods()))
def test_gradients_are_those_of_finite_differences(
    name: str,
    kind: str,
    make_model: Any,
    make_examples: Callable[..., list[Encoded]],
    make_setting: Any,
    plain_scores: Any,
) -> None:
    model = make_model(kind).double()
    for module in model.modules():
        if type(module) is T5LayerNorm:
            module.__class__ = _ExactNorm
    examples = make_examples(5, 2)
    generator = torch.Generator().manual_seed(0)
    adaptation = get_method(name).attach(model, generator=generator, setting=make_setting(model)).double()
    for parameter in adaptation.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.02)

    def value() -> Tensor:
        return torch.stack([plain_scores(model, e.input_ids, e.choices[e.gold]).sum() for e in examples]).sum()

    value().backward()
    with torch.no_grad():
        for path, parameter in adaptation.named_parameters():
            assert parameter.grad is not None, path
            direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            along = (parameter.grad * direction).sum()
            parameter.add_(direction, alpha=STEP)
            above = value()
            parameter.sub_(direction, alpha=2 * STEP)
            below = value()
            parameter.add_(direction, alpha=STEP)
            expected = (above - below) / (2 * STEP)
            torch.testing.assert_close(
                along, expected, rtol=1e-4, atol=1e-5, msg=lambda text, path=path: f"{path}: {text}"
            )
