import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tfew_pl import backbones
from tfew_pl.errors import UserError

Saver = Callable[[Any, Path], Path]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    backbones.load_backbone.cache_clear()
    backbones.revision.cache_clear()


def _plain(model: Any) -> torch.Tensor:
    ids = torch.tensor([[5, 6, 7, 1]])
    with torch.no_grad():
        logits = model(input_ids=ids, labels=ids).logits
    assert isinstance(logits, torch.Tensor)
    return logits


def test_an_untied_head_survives_everything(make_model: Any, save_backbone: Saver, tmp_path: Path) -> None:
    """transformers 5 calls every T5 tied; tie_weights() would then overwrite the head."""
    model = make_model("untied")
    expected, head = _plain(model), model.lm_head.weight.detach().clone()
    folder = save_backbone(model, tmp_path / "saved")
    loaded = backbones.load_backbone(str(folder)).model
    assert torch.equal(loaded.lm_head.weight, head)
    assert not torch.equal(loaded.shared.weight, head)
    torch.testing.assert_close(_plain(loaded), expected, atol=1e-5, rtol=1e-5)
    loaded.tie_weights()
    assert torch.equal(loaded.lm_head.weight, head)
    again = backbones.load_backbone(str(save_backbone(loaded, tmp_path / "again"))).model
    assert torch.equal(again.lm_head.weight, head)
    torch.testing.assert_close(_plain(again), expected, atol=1e-5, rtol=1e-5)
    assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in model.parameters())


def test_hub_format_with_copies_of_the_embeddings(make_model: Any, save_backbone: Saver, tmp_path: Path) -> None:
    """Checkpoints of the hub hold the shared embeddings under three names."""
    model = make_model("untied")
    folder = save_backbone(model, tmp_path)
    state = load_file(folder / "model.safetensors")
    for half in ("encoder", "decoder"):
        state[f"{half}.embed_tokens.weight"] = state["shared.weight"].clone()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = backbones.load_backbone(str(folder)).model
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    torch.testing.assert_close(_plain(loaded), _plain(model), atol=1e-5, rtol=1e-5)


def test_a_tied_model_stays_tied_and_scaled(make_model: Any, save_backbone: Saver, tmp_path: Path) -> None:
    model = make_model("tied")
    loaded = backbones.load_backbone(str(save_backbone(model, tmp_path / "saved"))).model
    for one in (loaded, backbones.load_backbone(str(save_backbone(loaded, tmp_path / "again"))).model):
        assert one.lm_head.weight.data_ptr() == one.shared.weight.data_ptr()
        assert one.config.scale_decoder_outputs
        torch.testing.assert_close(_plain(one), _plain(model), atol=1e-5, rtol=1e-5)
        ids = torch.tensor([[5, 6, 7, 1]])
        with torch.no_grad():
            hidden = one(input_ids=ids, labels=ids, output_hidden_states=True).decoder_hidden_states[-1]
        expected = hidden * 24**-0.5 @ one.shared.weight.T  # T5 v1.0: d_model ** -0.5
        torch.testing.assert_close(_plain(one), expected.detach(), atol=1e-4, rtol=1e-4)


def test_loaded_in_evaluation_mode_once(backbone_folder: Path) -> None:
    backbone = backbones.load_backbone(str(backbone_folder))
    assert not any(module.training for module in backbone.model.modules())
    assert backbones.load_backbone(str(backbone_folder)) is backbone
    assert backbone.parameters == sum(p.numel() for p in backbone.model.parameters())


def test_bfloat16(backbone_folder: Path) -> None:
    model = backbones.load_backbone(str(backbone_folder), "bf16").model
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_unknown_name_answers_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown backbone 'pocket-to'.*pocket-t0"):
        backbones.load_backbone("pocket-to")


def test_folder_without_safetensors(backbone_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(backbone_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(UserError, match="holds no safetensors file"):
        backbones.revision(str(folder))
    with pytest.raises(UserError, match="cannot load") as caught:
        backbones.load_backbone(str(folder))
    assert "\n" not in str(caught.value)


def test_damaged_weights(backbone_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(backbone_folder, folder)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot load"):
        backbones.load_backbone(str(folder))


def test_unreachable_hub_is_one_line() -> None:
    with pytest.raises(UserError, match=r"backbone google/t5-small: cannot load .*is it reachable") as caught:
        backbones.load_backbone("google/t5-small")
    assert "\n" not in str(caught.value)


def test_revision_follows_the_weights(make_model: Any, save_backbone: Saver, tmp_path: Path) -> None:
    folders = [save_backbone(make_model(seed=seed), tmp_path / str(i)) for i, seed in enumerate((0, 0, 1))]
    revisions = [backbones.revision(str(folder)) for folder in folders]
    assert revisions[0] == revisions[1] != revisions[2]
