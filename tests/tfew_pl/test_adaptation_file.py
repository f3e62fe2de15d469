import copy
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from tfew_pl.adaptation_file import backbone_digest, load_into, to_bytes
from tfew_pl.errors import UserError
from tfew_pl.ia3 import IA3, IA3Adaptation


def _attach(model: Any, slots: int = 1) -> IA3Adaptation:
    return IA3().attach(model, slots=slots, generator=torch.Generator())


@pytest.fixture
def adaptation(make_model: Any) -> IA3Adaptation:
    adaptation = _attach(make_model())
    generator = torch.Generator().manual_seed(1)
    for parameter in adaptation.parameters():
        parameter.data.copy_(torch.rand(parameter.shape, generator=generator))
    return adaptation


@pytest.fixture
def file(adaptation: IA3Adaptation, tmp_path: Path) -> Path:
    path = tmp_path / "vectors.safetensors"
    path.write_bytes(to_bytes(adaptation, "ia3", "0123456789abcdef"))
    return path


def test_round_trip(adaptation: IA3Adaptation, file: Path, make_model: Any) -> None:
    other = _attach(make_model())
    load_into(other, file, "ia3", "0123456789abcdef")
    state = adaptation.state_dict()
    assert set(other.state_dict()) == set(state)
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())


def test_bytes_are_the_same_each_time(adaptation: IA3Adaptation) -> None:
    assert to_bytes(adaptation, "ia3", "x") == to_bytes(copy.deepcopy(adaptation), "ia3", "x")


def test_one_slot_fills_every_slot(adaptation: IA3Adaptation, file: Path, make_model: Any) -> None:
    other = _attach(make_model(), slots=3)
    load_into(other, file, "ia3", "0123456789abcdef")
    for name, value in other.state_dict().items():
        assert torch.equal(value, adaptation.state_dict()[name].expand(3, -1))


def test_header_is_json(file: Path) -> None:
    content = file.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]  # safetensors: eight bytes of length, then JSON
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    header = json.loads(metadata["tfew_pl"])
    assert header == {"format": "tfew_pl adaptation 1", "method": "ia3", "backbone": "0123456789abcdef",
                      "slots": 1}  # fmt: skip


def _renamed(content: bytes) -> bytes:
    return content.replace(b"encoder/block/0", b"encoder/block/7")


def _other_shapes(_: bytes) -> bytes:
    from transformers import T5Config, T5ForConditionalGeneration

    small = T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_decoder_layers=2, num_heads=2,
                     feed_forward_proj="gated-gelu")  # fmt: skip
    return to_bytes(_attach(T5ForConditionalGeneration(small)), "ia3", "0123456789abcdef")


def _two_slots(content: bytes) -> bytes:
    from safetensors.torch import load

    header = {"format": "tfew_pl adaptation 1", "method": "ia3", "backbone": "0123456789abcdef", "slots": 2}
    tensors = {name: torch.cat([value, value]) for name, value in load(content).items()}
    return save(tensors, {"tfew_pl": json.dumps(header)})


def _with_header(text: str) -> Callable[[bytes], bytes]:
    return lambda _: save({"a": torch.ones(1)}, {"tfew_pl": text})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[: len(c) // 2], "not a readable safetensors file"),
        (lambda c: c[:5], "not a readable safetensors file"),
        (lambda _: pickle.dumps({"a": torch.ones(1)}), "not a readable safetensors file"),
        (lambda _: b"", "not a readable safetensors file"),
        (lambda _: save({"a": torch.ones(1)}), "not an adaptation of tfew_pl"),
        (_with_header("{}"), "not an adaptation of tfew_pl"),
        (_with_header("not json"), "not an adaptation of tfew_pl"),
        (_with_header("[]"), "not an adaptation of tfew_pl"),
        (_with_header('{"format": "tfew_pl adaptation 1"}'), "not an adaptation of tfew_pl"),
        (_renamed, "its tensors are not those of ia3"),
        (_other_shapes, "is .*, expected"),
        (_two_slots, "is .*, expected"),
    ],
    ids=["truncated", "cut in the header", "pickle", "empty", "plain safetensors", "empty header",
         "header is not JSON", "header is a list", "header lacks keys", "other names", "other shapes",
         "two slots into one"],
)  # fmt: skip
def test_file_that_does_not_fit(change: Callable[[bytes], bytes], message: str, file: Path, make_model: Any) -> None:
    file.write_bytes(change(file.read_bytes()))
    other = _attach(make_model())
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(UserError, match=message) as caught:
        load_into(other, file, "ia3", "0123456789abcdef")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize(
    ("method", "backbone", "message"),
    [
        ("lora", "0123456789abcdef", "an adaptation of method ia3, not lora"),
        ("ia3", "fedcba9876543210", "made for backbone 0123456789abcdef, but this backbone is fedcba98"),
    ],
)
def test_other_method_or_backbone(method: str, backbone: str, message: str, file: Path, make_model: Any) -> None:
    other = _attach(make_model())
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(UserError, match=message):
        load_into(other, file, method, backbone)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_last_tensor_of_another_shape_leaves_the_others_unread(file: Path, make_model: Any) -> None:
    """Nothing is loaded from a file that does not fit, not even what comes before the misfit."""
    from safetensors.torch import load

    tensors = load(file.read_bytes())
    last = list(_attach(make_model()).state_dict())[-1]
    tensors[last] = torch.ones(1, 3)
    header = {"format": "tfew_pl adaptation 1", "method": "ia3", "backbone": "0123456789abcdef", "slots": 1}
    file.write_bytes(save(tensors, {"tfew_pl": json.dumps(header)}))
    other = _attach(make_model())
    with pytest.raises(UserError, match="expected"):
        load_into(other, file, "ia3", "0123456789abcdef")
    assert all((value == 1).all() for value in other.state_dict().values())


def test_missing_file(tmp_path: Path, make_model: Any) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_into(_attach(make_model()), tmp_path / "nothing", "ia3", "x")


def test_a_folder_is_not_a_file(tmp_path: Path, make_model: Any) -> None:
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_into(_attach(make_model()), tmp_path, "ia3", "x")


def test_backbone_digest_does_not_depend_on_the_precision(make_model: Any) -> None:
    model = make_model()
    assert backbone_digest(model) == backbone_digest(copy.deepcopy(model).bfloat16())
    assert backbone_digest(model) != backbone_digest(make_model(seed=1))


def test_backbone_digest_sees_a_changed_weight(make_model: Any) -> None:
    digests = {backbone_digest(make_model())}
    names = ["shared.weight", "lm_head.weight", "decoder.block.1.layer.1.EncDecAttention.k.weight"]
    for name in names:
        model = make_model()
        model.get_parameter(name).data.flatten()[0].add_(1)
        digests.add(backbone_digest(model))
    assert len(digests) == 4


def test_backbone_digest_does_not_change_with_an_adaptation(make_model: Any) -> None:
    model = make_model()
    before = backbone_digest(model)
    _attach(model)
    assert backbone_digest(model) == before
