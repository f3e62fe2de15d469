"""Frozen backbones of 8 and 4 bits."""

import importlib.util
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from tfew_pl.adaptation_file import backbone_digest, load_into, to_bytes
from tfew_pl.backbones import load_backbone
from tfew_pl.errors import UserError
from tfew_pl.quantization import require_library, weight_bytes
from tfew_pl.recipe import Recipe
from tfew_pl.registry import get_method
from tfew_pl.resolve import resolve
from tfew_pl.run import run
from tfew_pl.shapes import empty_backbone
from tfew_pl.spec import Evaluation, Precision, RunSpec

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="the extra `quantization` is not installed"
)
QUANTIZED: list[Any] = ["int8", "nf4"]


@pytest.fixture(scope="module")
def folder(make_model: Any, save_backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_backbone(make_model("untied", width=192), tmp_path_factory.mktemp("wide")))


def _logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([[5, 6, 7, 1]])
    with torch.no_grad():
        logits = model(input_ids=ids, labels=ids).logits.float()
    assert isinstance(logits, torch.Tensor)
    return logits


@needs_library
@pytest.mark.parametrize("precision", QUANTIZED)
def test_maps_are_quantized_and_what_overflows_is_not(precision: Any, folder: str) -> None:
    plain, backbone = load_backbone(folder), load_backbone(folder, precision)
    kinds = {name: type(module).__name__ for name, module in backbone.model.named_modules()}
    expected = {"int8": "Linear8bitLt", "nf4": "Linear4bit"}[precision]
    assert {kinds[name] for name in kinds if name.endswith((".q", ".k", ".v", ".o", ".wi_0", ".wi_1"))} == {expected}
    assert {kinds[name] for name in kinds if name.endswith((".wo", "lm_head"))} == {"Linear"}
    assert backbone.parameters == plain.parameters
    assert backbone_digest(backbone.model) == backbone_digest(plain.model)
    exact, close = _logits(plain.model), _logits(backbone.model)
    assert not torch.equal(exact, close)
    assert torch.corrcoef(torch.stack([exact.flatten(), close.flatten()]))[0, 1] > 0.9


def _bytes(model: torch.nn.Module) -> int:
    """What the weights take, as bitsandbytes keeps them, without its tables of the sixteen and 256 values."""
    total = 0
    for parameter in model.parameters():
        total += parameter.nbytes
        scales, state = getattr(parameter, "SCB", None), getattr(parameter, "quant_state", None)
        if scales is not None:
            total += scales.nbytes
        if state is not None:
            total += state.absmax.nbytes + state.state2.absmax.nbytes
    return total


@needs_library
@pytest.mark.parametrize("precision", ["fp32", "bf16", *QUANTIZED])
def test_the_memory_of_the_weights_is_what_is_counted(precision: Any, folder: str) -> None:
    assert weight_bytes(load_backbone(folder).model, precision) == _bytes(load_backbone(folder, precision).model)


def test_t0_fits_24_gigabytes_when_quantized() -> None:
    t0 = empty_backbone("t0")
    assert {p: round(weight_bytes(t0, p) / 1e9, 1) for p in get_args(Precision)} == {
        "fp32": 44.5,
        "bf16": 22.3,
        "int8": 13.4,
        "nf4": 9.1,
    }


@needs_library
@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("method", ["ia3", "lora"])
def test_a_run_trains_on_it_and_its_adaptation_fits_every_precision(
    method: str, precision: Any, folder: str, tmp_path: Path
) -> None:
    recipe = Recipe(steps=2, pretrained=False, learning_rate=0.1)
    spec = RunSpec(
        "rte", folder, method, recipe=recipe, precision=precision, shots=8, evaluation=Evaluation(4, 1)
    )  # fmt: skip
    quantized = load_backbone(folder, precision).model
    before = _logits(quantized)
    record = run(spec, trainer={"accelerator": "cpu"})
    assert torch.equal(_logits(quantized), before)
    assert record.adaptation is not None
    path = tmp_path / "adaptation.safetensors"
    path.write_bytes(record.adaptation)
    plain = load_backbone(folder).model
    adaptation = get_method(method).attach(plain, generator=torch.Generator())
    try:
        start = {name: tensor.clone() for name, tensor in adaptation.stored().items()}
        load_into(adaptation, path, method, backbone_digest(plain))
        assert any((tensor != start[name]).any() for name, tensor in adaptation.stored().items())
        assert to_bytes(adaptation, method, backbone_digest(plain)) == record.adaptation
    finally:
        adaptation.detach()


@needs_library
def test_weights_are_neither_changed_nor_merged_into(folder: str) -> None:
    model = load_backbone(folder, "int8").model
    with pytest.raises(UserError, match="method full changes weights, and these are quantized"):
        get_method("full").attach(model, generator=torch.Generator())
    adaptation = get_method("ia3").attach(model, generator=torch.Generator())
    try:
        with pytest.raises(UserError, match="quantized weights cannot be merged into"):
            adaptation.merge()
    finally:
        adaptation.detach()


def test_a_missing_library_is_named_before_weights_are_loaded(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find(name))
    require_library("bf16")
    with pytest.raises(UserError, match="precision nf4 needs bitsandbytes: pip install"):
        resolve(RunSpec("rte", backbone=folder, precision="nf4", method="zero-shot"))
