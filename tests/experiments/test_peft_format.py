"""What we write, the PEFT library loads and computes alike; what it saves, we read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiments.peft_format import CONFIG, WEIGHTS, read_peft, write_peft
from tfew_pl.adaptation_file import backbone_digest, load_into, read, to_bytes
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation
from tfew_pl.ranking import score_choices
from tfew_pl.registry import get_method

peft = pytest.importorskip("peft")
# PEFT asks transformers 5 by an old name whether activations are checkpointed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

Examples = Callable[..., list[Encoded]]
CASES = [("ia3", {}), ("lora", {}), ("lora", {"rank": 2, "layer_norms": False})]


def _attach(model: Any, method: str, options: Any, slots: int = 1, seed: int = 0) -> Adaptation:
    generator = torch.Generator().manual_seed(seed)
    adaptation = get_method(method, options).attach(model, slots=slots, generator=generator)
    for parameter in adaptation.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return adaptation


@torch.no_grad()
def _scores(model: Any, examples: list[Encoded]) -> Tensor:
    return score_choices(model, collate(examples)).log_probability


@torch.no_grad()
def _compare(wrapped: Any, examples: list[Encoded], scores: Tensor, plain_scores: Any) -> None:
    for row, example in enumerate(examples):
        for number, choice in enumerate(example.choices):
            expected = plain_scores(wrapped, example.input_ids, choice)
            found = scores[row, number, : len(choice)].double()
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("method", "options"), CASES)
@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_peft_loads_what_we_write_and_we_read_it_back(
    kind: str,
    method: str,
    options: Any,
    make_model: Any,
    make_examples: Examples,
    plain_scores: Any,
    tmp_path: Path,
) -> None:
    model, examples = make_model(kind), make_examples(6, 3)
    digest = backbone_digest(model)
    adaptation = _attach(model, method, options, slots=2)
    with torch.no_grad(), adaptation.use_slots(torch.ones(3, dtype=torch.long)):
        scores = score_choices(model, collate(examples)).log_probability
    write_peft(method, adaptation.stored(), tmp_path / "peft", slot=1)
    adaptation.detach()
    wrapped = peft.PeftModel.from_pretrained(make_model(kind), tmp_path / "peft").eval()
    _compare(wrapped, examples, scores, plain_scores)

    file = tmp_path / "back.safetensors"
    file.write_bytes(read_peft(tmp_path / "peft", model))
    assert all(not m._forward_hooks for m in model.modules())
    _, tensors = read(file)
    assert {name: t.tolist() for name, t in tensors.items()} == {
        name: t[1:].tolist() for name, t in adaptation.stored().items()
    }
    again = get_method(method, options).attach(model, generator=torch.Generator())
    load_into(again, file, method, digest)
    torch.testing.assert_close(_scores(model, examples), scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rslora", [False, True])
def test_a_lora_of_pefts_own_making_is_read(
    rslora: bool, make_model: Any, make_examples: Examples, plain_scores: Any, tmp_path: Path
) -> None:
    config = peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=["q", "v"], use_rslora=rslora, init_lora_weights=False,
        task_type="SEQ_2_SEQ_LM",
    )  # fmt: skip
    theirs = peft.get_peft_model(make_model(), config).eval()
    theirs.save_pretrained(tmp_path / "peft")
    model, examples, file = make_model(), make_examples(6, 3), tmp_path / "ours.safetensors"
    file.write_bytes(read_peft(tmp_path / "peft", model))
    ours = get_method("lora", {"rank": 3, "layer_norms": False}).attach(model, generator=torch.Generator())
    load_into(ours, file, "lora", backbone_digest(model))
    _compare(theirs, examples, _scores(model, examples), plain_scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "ADALORA"}, "ADALORA cannot be read; ia3 and lora can"),
        ({"use_dora": True}, "a LoRA with use_dora cannot be read"),
        ({"bias": "all"}, "a LoRA with bias cannot be read"),
        ({"r": 2}, "has no place in lora"),
    ],
)
def test_what_we_cannot_express_is_refused(
    change: dict[str, Any], message: str, make_model: Any, tmp_path: Path
) -> None:
    model = make_model()
    adaptation = _attach(model, "lora", {})
    write_peft("lora", adaptation.stored(), tmp_path)
    adaptation.detach()
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError, match=message):
        read_peft(tmp_path, model)
    assert all(not m._forward_hooks for m in model.modules())


def test_a_vector_says_by_its_shape_what_it_scales(make_model: Any, tmp_path: Path) -> None:
    """Keys' vectors that scale their map's input, which is as wide as the output, are nothing that we have."""
    model = make_model()
    adaptation = _attach(model, "ia3", {})
    write_peft("ia3", adaptation.stored(), tmp_path)
    adaptation.detach()
    tensors = load_file(tmp_path / WEIGHTS)
    name = next(name for name in tensors if name.endswith(".k.ia3_l"))
    save_file({**tensors, name: tensors[name].T.contiguous()}, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match=r"SelfAttention/k has no place in ia3 on this backbone"):
        read_peft(tmp_path, model)


def test_other_methods_slots_and_folders_are_refused(make_model: Any, tmp_path: Path) -> None:
    tensors = {"biases.a": torch.zeros(1, 2)}
    with pytest.raises(UserError, match="method bitfit cannot be written for PEFT; ia3 and lora can"):
        write_peft("bitfit", tensors, tmp_path)
    with pytest.raises(UserError, match="there is no slot 1: the adaptation has 1"):
        write_peft("ia3", tensors, tmp_path, slot=1)
    with pytest.raises(UserError, match=r"no readable adapter_config\.json"):
        read_peft(tmp_path / "nothing", make_model())


def test_the_commands_go_both_ways(tfew: Callable[..., Any], make_model: Any, words: Any, tmp_path: Path) -> None:
    folder, file, back = tmp_path / "backbone", tmp_path / "run" / "adaptation.safetensors", tmp_path / "back"
    model = make_model()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    adaptation = _attach(model, "ia3", {})
    file.parent.mkdir()
    file.write_bytes(to_bytes(adaptation, "ia3", backbone_digest(model)))
    result = tfew("export", str(file.parent), "--out", str(tmp_path / "peft"), "--backbone", str(folder))
    assert result.code == 0, result.err
    assert json.loads((tmp_path / "peft" / CONFIG).read_text())["base_model_name_or_path"] == str(folder)
    result = tfew("import", str(tmp_path / "peft"), "--out", str(back), "--backbone", str(folder))
    assert result.code == 0, result.err
    assert back.read_bytes() == file.read_bytes()
    result = tfew("import", str(tmp_path / "none"), "--out", str(back), "--backbone", str(folder))
    assert "no such file or folder" in result.err
