"""The release's (IA)3 vectors: in their layout, checked against the architecture, and with the release's effect."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tfew_pl.adaptation_file import backbone_digest, load_into, read
from tfew_pl.encoding import Encoded
from tfew_pl.errors import UserError
from tfew_pl.registry import get_method
from tfew_pl.released import ENDING, import_released, read_released
from tfew_pl.resolve import initial_adaptation
from tfew_pl.shapes import empty_backbone
from tfew_pl.spec import RunSpec


def _released(backbone: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """What the release saves: a (out, 1) vector for every linear map that `k|v|wi_1` names."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{name}{ENDING}": 1 + 0.3 * torch.randn(module.out_features, 1, generator=generator)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in ("k", "v", "wi_1")
    }


@pytest.fixture(scope="module")
def t0_3b() -> nn.Module:
    return empty_backbone("t0-3b")


@pytest.fixture
def file(t0_3b: nn.Module, tmp_path: Path) -> Path:
    torch.save(_released(t0_3b), tmp_path / "t03b_ia3_finish.pt")
    return tmp_path / "t03b_ia3_finish.pt"


def test_t0_3b_has_the_releases_keys_and_sizes(file: Path) -> None:
    tensors = read_released(file)
    assert len(tensors) == 192
    assert sum(tensor.numel() for tensor in tensors.values()) == 540_672
    assert {tuple(tensor.shape) for tensor in tensors.values()} == {(2048, 1), (5120, 1)}
    assert "encoder.block.0.layer.0.SelfAttention.k.multi_lora_b" in tensors
    assert "decoder.block.23.layer.1.EncDecAttention.v.multi_lora_b" in tensors
    assert tensors["decoder.block.0.layer.2.DenseReluDense.wi_1.multi_lora_b"].shape == (5120, 1)


def test_the_command_needs_no_weights_and_training_starts_from_what_it_writes(
    file: Path, tfew: Callable[..., Any], tmp_path: Path
) -> None:
    written = tmp_path / "new" / "ours.safetensors"
    result = tfew("import", str(file), "--backbone", "t0-3b", "--out", str(written))
    assert (result.code, result.out) == (0, f"{written}\n")
    assert initial_adaptation(RunSpec("rte", backbone="t0-3b", initial=str(written))) == written
    header, tensors = read(written)
    assert (header["method"], header["backbone"], header["slots"]) == ("ia3", None, 1)
    released = read_released(file)
    ours = tensors["scales.encoder/block/5/layer/1/DenseReluDense/wo"]
    assert ours.shape == (1, 5120)
    assert torch.equal(ours[0], released["encoder.block.5.layer.1.DenseReluDense.wi_1.multi_lora_b"][:, 0])
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_an_imported_file_scales_the_outputs_of_the_releases_maps(
    make_model: Any, make_examples: Callable[..., list[Encoded]], plain_scores: Any, tmp_path: Path
) -> None:
    model, reference = make_model(), make_model()
    tensors = _released(model)
    for name, module in list(reference.named_modules()):
        if f"{name}{ENDING}" in tensors:
            vector = tensors[f"{name}{ENDING}"].flatten()
            module.register_forward_hook(lambda _module, _inputs, output, vector=vector: output * vector)
    torch.save(tensors, tmp_path / "finish.pt")
    (tmp_path / "ours").write_bytes(import_released(tmp_path / "finish.pt", model, backbone_digest(model)))
    adaptation = get_method("ia3").attach(model, generator=torch.Generator())
    load_into(adaptation, tmp_path / "ours", "ia3", backbone_digest(model))
    for example in make_examples(0, 3):
        for choice in example.choices:
            found, expected = (plain_scores(m, example.input_ids, choice) for m in (model, reference))
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_without_the_weights_shapes_decide(make_model: Any, tmp_path: Path) -> None:
    model = make_model()
    torch.save(_released(model), tmp_path / "finish.pt")
    (tmp_path / "ours").write_bytes(import_released(tmp_path / "finish.pt", model, None))
    adaptation = get_method("ia3").attach(model, generator=torch.Generator())
    load_into(adaptation, tmp_path / "ours", "ia3", backbone_digest(model))
    adaptation.detach()
    (tmp_path / "other").write_bytes(import_released(tmp_path / "finish.pt", model, "0123456789abcdef"))
    with pytest.raises(UserError, match="made for backbone 0123456789abcdef"):
        load_into(adaptation, tmp_path / "other", "ia3", backbone_digest(model))


def _change(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], object]:
    return lambda file: torch.save(change(torch.load(file, weights_only=True)), file)


def _cut(share: float) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])


class _Code:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('it ran')",))


def _pickle_with_code(file: Path) -> None:
    file.write_bytes(pickle.dumps({"a": _Code()}))


def _zip_without_tensors(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")


_KEY = "encoder.block.0.layer.0.SelfAttention.k.multi_lora_b"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "half": (_cut(0.5), "not a readable PyTorch file; is it cut off?"),
    "nearly whole": (_cut(0.999), "not a readable PyTorch file; is it cut off?"),
    "empty": (_cut(0), "not a readable PyTorch file; is it cut off?"),
    "text": (lambda file: file.write_bytes(b"hello\n" * 99), "not a readable PyTorch file"),
    "another archive": (_zip_without_tensors, "not a readable PyTorch file"),
    "code": (lambda file: torch.save({"a": _Code()}, file), "refused: it holds Python objects, which could run code"),
    "a pickle with code": (_pickle_with_code, "refused: it holds Python objects, which could run code"),
    "a module": (lambda file: torch.save(nn.Linear(2, 2), file), "refused: it holds Python objects"),
    "a tensor": (_change(lambda _: torch.ones(3)), "expected a dict of tensors, found a Tensor"),
    "nested": (_change(lambda content: {"state_dict": content}), "'state_dict' is not a tensor with a name"),
    "a vector less": (_change(lambda content: {key: v for key, v in content.items() if key != _KEY}),
                      f"'{_KEY}' and 0 more are missing; this backbone has 192 vectors, 540,672 values"),
    "a vector more": (_change(lambda content: content | {"x": torch.ones(1)}), "'x' has no place in (IA)3"),
    "LoRA": (_change(lambda content: {key.replace("multi_", ""): v for key, v in content.items()}), "has no place in"),
    "a shape": (_change(lambda content: content | {_KEY: torch.ones(2047, 1)}), "(2047, 1), expected (2048, 1)"),
    "NaN": (_change(lambda content: content | {_KEY: torch.full((2048, 1), torch.nan)}), "no finite numbers"),
    "integers": (_change(lambda content: content | {_KEY: torch.ones(2048, 1).long()}), "no finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_line(case: str, file: Path, tfew: Callable[..., Any], tmp_path: Path) -> None:
    spoil, message = BAD[case]
    spoil(file)
    out = tmp_path / "out" / "ours.safetensors"
    result = tfew("import", str(file), "--backbone", "t0-3b", "--out", str(out))
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert str(file) in result.err
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("t0", "is (2048, 1), expected (4096, 1)"),
        ("t5-3b", "gated feed-forward layers, which this backbone lacks"),
        ("google/flan-t5-xl", "its architecture is not known here"),
        ("t0-3c", "unknown backbone 't0-3c'"),
    ],
)
def test_another_backbone_is_refused(backbone: str, message: str, file: Path, tfew: Callable[..., Any]) -> None:
    result = tfew("import", str(file), "--backbone", backbone, "--out", str(file.with_name("ours")))
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1


def test_the_vectors_of_the_11b_model_fit_it(tfew: Callable[..., Any], tmp_path: Path) -> None:
    torch.save(_released(empty_backbone("t0")), tmp_path / "t011b_ia3_finish.pt")
    result = tfew("import", str(tmp_path / "t011b_ia3_finish.pt"), "--backbone", "t0", "--out", str(tmp_path / "ours"))
    assert result.code == 0, result.err
    _, tensors = read(tmp_path / "ours")
    assert sum(tensor.numel() for tensor in tensors.values()) == 1_081_344
