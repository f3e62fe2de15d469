from typing import Any

import pytest
import torch
from torch import nn

from baselines.bitfit import BitFit
from tfew_pl.encoding import collate
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation
from tfew_pl.ranking import score_choices
from tfew_pl.shapes import empty_backbone


def _attach(model: Any, options: Any = None) -> Adaptation:
    return BitFit(options).attach(model, generator=torch.Generator())


def _with_biases(model: Any) -> Any:
    """A T5 whose linear maps have biases, as plain T5 has none."""
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear) and not path.endswith("lm_head"):
            module.bias = nn.Parameter(torch.zeros(module.out_features))
    return model


def _fill(adaptation: Adaptation) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in adaptation.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)


def test_what_it_counts_on_t0_3b() -> None:
    inner = 72 * 4 * 2048 + 48 * 2 * 5120  # q, k, v, o of every attention; wi_0 and wi_1
    norms = 122 * 2048
    assert _attach(empty_backbone("t0-3b")).counts().trainable == inner + norms == 1_331_200
    assert _attach(empty_backbone("t0-3b"), {"layer_norms": False}).counts().trainable == inner
    assert _attach(empty_backbone("t0-3b"), {"output_biases": True}).counts().trainable == inner + norms + 48 * 2048


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_it_is_a_model_whose_linear_maps_have_biases(kind: str, make_model: Any, make_examples: Any) -> None:
    batch = collate(make_examples(5, 4))
    model, reference = make_model(kind), _with_biases(make_model(kind))
    adaptation = _attach(model, {"output_biases": True})
    _fill(adaptation)
    with torch.no_grad():
        for name, bank in adaptation.named_parameters():
            group, key = name.split(".", 1)
            ending = "bias" if group == "biases" else "weight"
            reference.get_parameter(f"{key.replace('/', '.')}.{ending}").copy_(bank[0])
        torch.testing.assert_close(
            score_choices(model, batch).log_probability,
            score_choices(reference, batch).log_probability,
            atol=1e-5,
            rtol=1e-5,
        )


def test_it_merges_where_there_are_biases(make_model: Any, make_examples: Any) -> None:
    model, batch = _with_biases(make_model()), collate(make_examples(5, 4))
    adaptation = _attach(model)
    assert adaptation.counts().inference_extra == 0
    _fill(adaptation)
    with torch.no_grad():
        adapted = score_choices(model, batch).log_probability
        adaptation.merge()
        torch.testing.assert_close(score_choices(model, batch).log_probability, adapted, atol=1e-5, rtol=1e-5)
    assert all(not m._forward_hooks for m in model.modules())


def test_it_does_not_merge_into_plain_t5(make_model: Any) -> None:
    model = make_model()
    adaptation = _attach(model)
    _fill(adaptation)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=r"BitFit cannot be merged: encoder\.block\.0\.layer\.0\.SelfAttention\.q has"):
        adaptation.merge()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
