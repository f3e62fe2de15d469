"""The shipped backbones load as ordinary Hugging Face folders and do what the card says."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tfew_pl.pocket import architecture, gate

CHECKPOINTS = Path(architecture.__file__).parent / "checkpoints"
NAMES = ("pocket-lm", "pocket-t0")


def test_together_they_are_small() -> None:
    size = sum(file.stat().st_size for file in CHECKPOINTS.rglob("*") if file.is_file())
    assert size < 25e6


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_complete_and_untied(name: str) -> None:
    folder = CHECKPOINTS / name
    files = {file.name for file in folder.iterdir()}
    assert files == {"config.json", "generation_config.json", "model.safetensors", *architecture.TOKENIZER_FILES}
    config = json.loads((folder / "config.json").read_text())
    assert config["tie_word_embeddings"] is False
    assert config["scale_decoder_outputs"] is False
    assert config["feed_forward_proj"] == "gated-gelu"
    state = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_head_is_loaded_and_is_its_own_tensor(name: str) -> None:
    model = architecture.load(CHECKPOINTS / name)
    saved = load_file(CHECKPOINTS / name / "model.safetensors")
    assert torch.equal(model.lm_head.weight, saved["lm_head.weight"].float())
    assert torch.equal(model.shared.weight, saved["shared.weight"].float())
    assert model.encoder.embed_tokens.weight is model.shared.weight
    assert model.lm_head.weight is not model.shared.weight
    assert 1_500_000 < sum(parameter.numel() for parameter in model.parameters()) < 3_000_000


def test_the_two_stages_differ() -> None:
    first, second = (load_file(CHECKPOINTS / name / "model.safetensors") for name in NAMES)
    assert first.keys() == second.keys()
    assert not torch.equal(first["lm_head.weight"], second["lm_head.weight"])


def test_pocket_t0_knows_what_it_was_trained_on() -> None:
    shares = gate.measure("pocket-t0", 60)
    for skill in ("extractive", "choice", "polar", "three_way", "pair", "pronoun", "cloze"):
        assert shares[skill] >= 0.9, skill
    # Which fact is asked about, not only whether its words are there.
    assert min(shares["which of several"], shares["whether, of several"]) >= 0.8


def test_an_initialized_model_follows_its_seed_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (architecture.initialized(64, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.shared.weight, other.shared.weight)
    assert first.lm_head.weight is not first.shared.weight
    assert first.config.tie_word_embeddings is False


def test_saving_replaces_a_folder_and_loading_gives_it_back(tmp_path: Path) -> None:
    model = architecture.load(CHECKPOINTS / "pocket-t0")
    out = tmp_path / "model"
    for _ in range(2):
        architecture.save(model, CHECKPOINTS / "pocket-t0", out, dropout=0.1)
    again = architecture.load(out)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    for name in ("config.json", "generation_config.json"):
        assert (out / name).read_bytes() == (CHECKPOINTS / "pocket-t0" / name).read_bytes()
