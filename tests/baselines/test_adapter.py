from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.adapter import Adapter, AdapterConfig, AdapterLayer
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation
from tfew_pl.shapes import empty_backbone


def _attach(model: Any, options: Any = None) -> Adaptation:
    return Adapter(options).attach(model, generator=torch.Generator().manual_seed(0))


def test_what_it_counts_on_t0_3b() -> None:
    one = 2 * 2048 * 64 + 64 + 2048  # two matrices, two biases
    norms = 122 * 2048
    assert _attach(empty_backbone("t0-3b")).counts().trainable == 48 * one + norms == 12_934_144
    # As the paper's text has it, which is not what it counts.
    assert (
        _attach(empty_backbone("t0-3b"), {"after_attention": True}).counts().trainable == 96 * one + norms == 25_618_432
    )
    everywhere = {"after_attention": True, "after_cross_attention": True, "layer_norms": False}
    assert _attach(empty_backbone("t0-3b"), everywhere).counts().trainable == 120 * one


def test_they_stand_where_asked(make_model: Any) -> None:
    options = {"after_attention": True, "after_cross_attention": True, "layer_norms": False}
    paths = {name.split(".")[1] for name in _attach(make_model(), options).state_dict()}
    endings = {path.split("/", 3)[3] for path in paths}
    assert endings == {"layer/0/SelfAttention/o", "layer/1/DenseReluDense", "layer/1/EncDecAttention/o",
                       "layer/2/DenseReluDense"}  # fmt: skip
    assert len(paths) == 2 + 2 + 2 + 2 + 2


def test_a_layer_is_its_formula() -> None:
    draw = (torch.Generator().manual_seed(0), torch.device("cpu"))
    layer = AdapterLayer(2, 8, AdapterConfig(reduction=2, init_std=0.5), draw)
    for bias in (layer.down_bias, layer.up_bias):
        bias.data.normal_(generator=draw[0])
    x = torch.randn(3, 5, 8, generator=draw[0])
    slots = torch.tensor([1, 0, 1])
    found = layer(x, lambda bank, rows: bank[slots])
    for row, slot in enumerate(slots):
        inner = (x[row] @ layer.down[slot].T + layer.down_bias[slot]).clamp(min=0)
        torch.testing.assert_close(found[row], x[row] + inner @ layer.up[slot].T + layer.up_bias[slot])


def test_it_stands_inside_the_residual_connection(make_model: Any) -> None:
    """h + adapter(feed-forward(norm(h))), as the release builds it, seen on a whole layer."""
    model = make_model()
    layer = model.encoder.block[0].layer[1]
    adaptation = _attach(model, {"layer_norms": False, "init_std": 0.5})
    h = torch.randn(2, 3, 24, generator=torch.Generator().manual_seed(3))
    found = layer(h)
    state = {
        name.rsplit(".", 1)[1]: value[0] for name, value in adaptation.state_dict().items() if "encoder/block/0" in name
    }
    adaptation.detach()
    inside: Tensor = layer.DenseReluDense(layer.layer_norm(h))
    hidden = torch.relu(inside @ state["down"].T + state["down_bias"])
    torch.testing.assert_close(found, h + inside + hidden @ state["up"].T + state["up_bias"])


def test_a_narrow_backbone_gets_a_bottleneck_of_one(make_model: Any) -> None:
    assert all(
        value.shape[1] == 1 for name, value in _attach(make_model()).state_dict().items() if name.endswith(".down")
    )
    with pytest.raises(UserError, match="reduction must be at least 1, not 0"):
        Adapter({"reduction": 0})
    with pytest.raises(UserError, match="method adapter, option init_std must not be negative, and is -1"):
        Adapter({"init_std": -1.0})
