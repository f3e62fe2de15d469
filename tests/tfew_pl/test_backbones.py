import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, MT5Config, MT5ForConditionalGeneration

from tfew_pl import backbones
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.ranking import score_choices
from tfew_pl.resolve import resolve
from tfew_pl.spec import RunSpec

Saver = Callable[[Any, Path], Path]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    for cached in (backbones.load_backbone, backbones.revision, backbones.kind, backbones._config_folder):
        cached.cache_clear()


def _plain(model: Any) -> torch.Tensor:
    ids = torch.tensor([[5, 6, 7, 1]])
    with torch.no_grad():
        logits = model(input_ids=ids, labels=ids).logits
    assert isinstance(logits, torch.Tensor)
    return logits


@pytest.fixture
def mt5() -> MT5ForConditionalGeneration:
    """A random mT5: gated GELU, a head of its own, whatever its configuration says."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = MT5Config(
            vocab_size=512, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=2, num_heads=3, dropout_rate=0
        )  # fmt: skip
        model = MT5ForConditionalGeneration(config)
        model.lm_head.weight = torch.nn.Parameter(torch.randn(512, 24) * 0.5)
        model.config.tie_word_embeddings = False
    return model.eval()


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


def test_an_untied_head_of_equal_values_is_its_own(make_model: Any, save_backbone: Saver, tmp_path: Path) -> None:
    """transformers 5 takes it for a tied one, and fine-tuning would change both."""
    model = make_model("untied")
    model.lm_head.weight = torch.nn.Parameter(model.shared.weight.detach().clone())
    loaded = backbones.load_backbone(str(save_backbone(model, tmp_path))).model
    assert torch.equal(loaded.lm_head.weight, loaded.shared.weight)
    assert loaded.lm_head.weight.data_ptr() != loaded.shared.weight.data_ptr()
    assert loaded.encoder.embed_tokens.weight is loaded.shared.weight
    assert not loaded.config.tie_word_embeddings


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


def test_mt5_loads_untied_and_is_scored_as_it_scores(
    mt5: Any, save_backbone: Saver, plain_scores: Any, tmp_path: Path
) -> None:
    folder = save_backbone(mt5, tmp_path)
    backbone = backbones.load_backbone(str(folder))
    assert backbone.kind == backbones.Kind("mt5", encoder_decoder=True)
    assert torch.equal(backbone.model.lm_head.weight, mt5.lm_head.weight)
    backbone.model.tie_weights()
    assert torch.equal(backbone.model.lm_head.weight, mt5.lm_head.weight)
    example = Encoded((5, 6, 7, 1), ((8, 9, 1), (10, 1)), gold=1)
    with torch.no_grad():
        scores = score_choices(backbone.model, collate([example])).log_probability[0]  # type: ignore[arg-type]
        for row, choice in zip(scores, example.choices, strict=True):
            expected = plain_scores(mt5, example.input_ids, choice).float()
            torch.testing.assert_close(row[: len(choice)], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_sharded_checkpoints(kind: str, make_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    model = make_model(kind)
    model.save_pretrained(tmp_path, max_shard_size="30KB")
    tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    loaded = backbones.load_backbone(str(tmp_path)).model
    torch.testing.assert_close(_plain(loaded), _plain(model), atol=1e-5, rtol=1e-5)
    before = backbones.revision(str(tmp_path))
    backbones.revision.cache_clear()
    last = sorted(tmp_path.glob("model-*.safetensors"))[-1]
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    assert backbones.revision(str(tmp_path)) != before, "every shard counts"


def _as_bin(model: Any, tokenizer: Any, folder: Path) -> None:
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def test_bin_is_read_where_there_is_no_safetensors(make_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """T0's own checkpoints are `.bin`."""
    model = make_model("untied")
    _as_bin(model, tokenizer, tmp_path)
    loaded = backbones.load_backbone(str(tmp_path)).model
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    torch.testing.assert_close(_plain(loaded), _plain(model), atol=1e-5, rtol=1e-5)
    assert backbones.revision(str(tmp_path))


class _Runs:
    """What a pickle can do: call anything."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.witness),)


def test_nothing_in_a_bin_is_run(make_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    folder, witness = tmp_path / "backbone", tmp_path / "ran"
    folder.mkdir()
    model = make_model("untied")
    _as_bin(model, tokenizer, folder)
    torch.save({**model.state_dict(), "shared.weight": _Runs(witness)}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot load") as caught:
        backbones.load_backbone(str(folder))
    assert "\n" not in str(caught.value)
    assert not witness.exists()


def test_missing_tensors_are_not_made_up(backbone_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(backbone_folder, folder)
    state = load_file(folder / "model.safetensors")
    del state["encoder.block.0.layer.0.SelfAttention.q.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"its weights lack 1 tensors, encoder.block.0.layer.0.SelfAttention.q"):
        backbones.load_backbone(str(folder))


def test_tokenizer_of_another_model(backbone_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(backbone_folder, folder)
    values = json.loads((folder / "tokenizer.json").read_text())
    size = len(values["model"]["vocab"])
    values["model"]["vocab"] |= {f"extra{number}": size + number for number in range(100)}
    (folder / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"its tokenizer has \d+ tokens, its embeddings 512"):
        backbones.load_backbone(str(folder))


@pytest.fixture
def causal_folder(save_backbone: Saver, tmp_path: Path) -> Path:
    config = GPT2Config(vocab_size=512, n_positions=64, n_embd=24, n_layer=2, n_head=3)
    return save_backbone(GPT2LMHeadModel(config), tmp_path / "causal")


def test_causal_language_models_load_for_in_context_learning(causal_folder: Path) -> None:
    backbone = backbones.load_backbone(str(causal_folder))
    assert backbone.kind == backbones.Kind("gpt2", encoder_decoder=False, positions=64)
    assert backbone.parameters == sum(p.numel() for p in backbone.model.parameters()) > 0
    with torch.no_grad():
        assert backbone.model(input_ids=torch.tensor([[5, 6]])).logits.shape == (1, 2, 512)


def test_causal_language_models_are_not_trained(causal_folder: Path) -> None:
    with pytest.raises(UserError, match=r"a causal gpt2 can do in-context learning .* ia3 needs one of the T5 family"):
        resolve(RunSpec("rte", backbone=str(causal_folder)))
    spec = resolve(RunSpec("rte", backbone=str(causal_folder), method="in-context"))
    assert spec.revisions.backbone


def test_other_architectures_are_refused_before_their_weights(backbone_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(backbone_folder, folder)
    (folder / "config.json").write_text('{"model_type": "bart", "is_encoder_decoder": true}')
    with pytest.raises(UserError, match="a model of type bart; there are t5, mt5, and causal language models"):
        resolve(RunSpec("rte", backbone=str(folder)))


def test_models_that_read_no_context_once_are_refused_before_their_weights(tmp_path: Path) -> None:
    for model_type, why in (("bert", "reads in both directions"), ("mamba", "keeps no keys and values")):
        folder = tmp_path / model_type
        folder.mkdir()
        (folder / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
        with pytest.raises(UserError, match=rf"backbone .*{model_type}: a model of type {model_type} {why}"):
            backbones.kind(str(folder))


def test_loaded_in_evaluation_mode_once(backbone_folder: Path) -> None:
    backbone = backbones.load_backbone(str(backbone_folder))
    assert not any(module.training for module in backbone.model.modules())
    assert backbones.load_backbone(str(backbone_folder)) is backbone
    assert backbone.parameters == sum(p.numel() for p in backbone.model.parameters())


def test_bfloat16(backbone_folder: Path) -> None:
    model = backbones.load_backbone(str(backbone_folder), "bf16").model
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_the_untrained_control_takes_the_precision() -> None:
    model = backbones.read_backbone("pocket-random", "bf16", "cpu").model
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    with pytest.raises(UserError, match="pocket-random: it has no saved weights to load in int8; give fp32 or bf16"):
        backbones.read_backbone("pocket-random", "int8", "cpu")


def test_weights_go_straight_to_the_gpu_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backbones.default_device() == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert backbones.default_device() == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert backbones.default_device() == "cuda:3"


def test_loading_to_another_device(backbone_folder: Path) -> None:
    """The one other device that every machine has; nothing is loaded through memory."""
    model = backbones.load_backbone(str(backbone_folder), device="meta").model
    assert all(p.is_meta for p in model.parameters())


def test_unknown_name_answers_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown backbone 'pocket-to'.*pocket-t0"):
        backbones.load_backbone("pocket-to")


def test_folder_without_weights(backbone_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(backbone_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(UserError, match="holds no weights"):
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
    with pytest.raises(
        UserError, match=r"backbone google/t5-small: .* is not on this machine.*HF_HUB_OFFLINE"
    ) as caught:
        backbones.load_backbone("google/t5-small")
    assert "\n" not in str(caught.value)


def test_revision_follows_the_weights(make_model: Any, save_backbone: Saver, tmp_path: Path) -> None:
    folders = [save_backbone(make_model(seed=seed), tmp_path / str(i)) for i, seed in enumerate((0, 0, 1))]
    revisions = [backbones.revision(str(folder)) for folder in folders]
    assert revisions[0] == revisions[1] != revisions[2]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached_repository(backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository as the hub's client keeps it after a download."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--backbone"
    shutil.copytree(backbone_folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return "some/backbone"


def test_a_repository_is_pinned_to_its_commit(cached_repository: str, backbone_folder: Path) -> None:
    assert backbones.revision(cached_repository) == COMMIT
    assert resolve(RunSpec("rte", backbone=cached_repository, method="zero-shot")).revisions.backbone == COMMIT
    loaded = backbones.load_backbone(cached_repository).model
    expected = backbones.load_backbone(str(backbone_folder)).model
    assert all(torch.equal(p, q) for p, q in zip(loaded.parameters(), expected.parameters(), strict=True))


def test_a_revision_can_be_asked_for(cached_repository: str) -> None:
    assert backbones.revision(f"{cached_repository}@{COMMIT}") == COMMIT
    with pytest.raises(UserError, match="some/backbone at 1111111 is not on this machine"):
        backbones.revision(f"{cached_repository}@1111111")
