"""SetFit in whole runs, by its own library, on a tiny random encoder."""

import dataclasses
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from baselines.setfit import ENCODERS, SetFit, _folder
from tfew_pl.errors import UserError
from tfew_pl.resolve import resolve
from tfew_pl.run import run, run_group
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.store import RunStore
from tfew_pl.tasks import get_task
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.splits import few_shot_indices
from tfew_pl.weights import digest

MINILM = ENCODERS["all-minilm-l6-v2"]
SHOTS, WIDTH, LAYERS = 8, 16, 2


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers as a folder of sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    texts = [get_task("overruling").text(row) for row in load_data("overruling", "pocket").train]
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    words.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    folder = tmp_path_factory.mktemp("bert")
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=300, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2,
            intermediate_size=2 * WIDTH, max_position_embeddings=64,
        )  # fmt: skip
        BertModel(config).save_pretrained(folder)
    body = Transformer(str(folder), max_seq_length=32)
    saved = tmp_path_factory.mktemp("encoder")
    SentenceTransformer(modules=[body, Pooling(WIDTH, "mean")], device="cpu").save(str(saved), create_model_card=False)
    return saved


@pytest.fixture
def spec(encoder: Path) -> RunSpec:
    few = Evaluation(examples=40)
    return RunSpec("overruling", str(encoder), "setfit", options={"iterations": 1}, shots=SHOTS, evaluation=few)


def test_a_run(spec: RunSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, float]] = []
    record = run(spec, progress=lambda stage, share: told.append((stage, share)))
    assert capfd.readouterr() == ("", "")
    rows = load_data("overruling", "pocket").evaluation[:40]
    assert record.predictions["gold"].tolist() == [row["Label"] - 1 for row in rows]
    assert record.predictions["example"].tolist() == list(range(40))
    assert set(record.predictions["predicted"]) <= {0, 1}
    right = record.predictions["gold"] == record.predictions["predicted"]
    assert record.accuracy == {"text": right.mean()}
    # 2 x 8 pairs of two texts are one batch.
    assert record.losses["step"].tolist() == [1]
    assert 0 < record.losses["contrastive"][0] < 4
    assert told == [("training", 1.0), ("evaluation", 1.0)]
    assert record.adaptation is None
    assert record.environment["packages"]["setfit"] == version("setfit")
    store = RunStore(tmp_path)
    store.save(record)
    again = store.load(resolve(spec))
    pd.testing.assert_frame_equal(again.predictions, record.predictions, check_dtype=False)
    assert (again.spec, again.accuracy, again.costs) == (record.spec, record.accuracy, record.costs)


def test_costs(spec: RunSpec, encoder: Path) -> None:
    costs = run(spec).costs
    tensors = load((encoder / "model.safetensors").read_bytes())
    parameters = sum(tensor.numel() for tensor in tensors.values())
    head = WIDTH + 1  # two classes, one logit
    assert (costs.parameters, costs.trained_parameters) == (parameters, parameters + head)
    assert costs.inference_flops == 2 * parameters * costs.input_tokens
    # 16 pairs of two texts, forward and backward.
    assert costs.training_flops == 6 * parameters * costs.input_tokens * 32
    assert costs.stored_bytes == 4 * (parameters + head)
    assert costs.stored_bytes < costs.measured_stored_bytes < costs.stored_bytes + 10_000
    # Matrix products of a layer, a token: four of the attention, two of the feed-forward; the rest is embeddings.
    products = 2 * LAYERS * (4 * WIDTH**2 + 2 * 2 * WIDTH**2)
    assert products * costs.input_tokens < costs.measured_inference_flops < 2 * products * costs.input_tokens
    # The backward pass takes twice as much; 32 texts, padded to the longest of 16.
    words = PreTrainedTokenizerFast.from_pretrained(encoder)
    task, data = get_task("overruling"), load_data("overruling", "pocket")
    lengths = [len(words(task.text(data.train[i]))["input_ids"]) for i in few_shot_indices(50, SHOTS, spec.seed)]
    assert 3 * 32 * products * min(lengths) < costs.measured_training_flops < 2 * 3 * 32 * products * max(lengths)
    assert costs.shots == 0


def test_a_task_of_many_classes(spec: RunSpec) -> None:
    record = run(dataclasses.replace(spec, task="one_stop_english", evaluation=Evaluation(examples=4)))
    # Two classes share a logit, three have one each.
    assert record.costs.trained_parameters == record.costs.parameters + 3 * (WIDTH + 1)


def test_the_seed_decides(spec: RunSpec) -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, second = run(spec), run(spec)
    assert torch.equal(torch.random.get_rng_state(), before)
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    pd.testing.assert_frame_equal(first.losses, second.losses)
    other = run(dataclasses.replace(spec, seed=1))
    assert other.spec.digest != first.spec.digest
    assert other.losses["contrastive"].tolist() != first.losses["contrastive"].tolist()


def test_it_learns_what_texts_tell(encoder: Path) -> None:
    """Two classes of different words, of which the encoder has seen none."""
    texts = ["cat dog", "dog cat cat", "dog", "red blue", "blue blue red", "red"]
    method = SetFit({"iterations": 10, "learning_rate": 1e-3})
    trained = method.train(texts, [5, 5, 5, 9, 9, 9], backbone=str(encoder), seed=0, progress=None)
    assert trained.predict(texts) == [5, 5, 5, 9, 9, 9]
    assert trained.losses["contrastive"].iloc[-1] < trained.losses["contrastive"].iloc[0]
    assert trained.length("cat " * 100) == 32


def test_texts_are_the_fields_alone() -> None:
    row = {"Paper title": " A title ", "Organization name": "A name", "ID": 1, "Label": 2}
    assert get_task("semiconductor_org_types").text(row) == "A name\nA title"
    release = get_task("semiconductor_org_types").configured("pocket", {"variant": "release"})
    assert release.text(row) == "A title\nA name"
    assert get_task("semiconductor_org_types").text({**row, "Paper title": None}) == "A name"


def test_runs_are_not_trained_together(spec: RunSpec) -> None:
    with pytest.raises(ValueError, match="must have one model_key"):
        run_group([spec, dataclasses.replace(spec, seed=1)])


def test_a_folder_that_holds_no_encoder(tmp_path: Path, spec: RunSpec) -> None:
    with pytest.raises(UserError, match="holds no weights"):
        resolve(dataclasses.replace(spec, backbone=str(tmp_path)))


def test_one_class_is_too_few(spec: RunSpec) -> None:
    with pytest.raises(UserError, match="its 1 training examples are all of one class: give it more shots"):
        run(dataclasses.replace(spec, shots=1))


def test_flags_of_lightning_are_refused(spec: RunSpec) -> None:
    with pytest.raises(UserError, match="method setfit has a trainer of its own, without devices"):
        run(spec, trainer={"devices": 2})


def test_another_encoder_under_its_name_is_refused(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "another_encoder"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('the code of the package was run')")
    (package / "model").symlink_to(encoder)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = dataclasses.replace(MINILM, package="another_encoder")
    monkeypatch.setitem(ENCODERS, "all-minilm-l6-v2", own)
    with pytest.raises(UserError, match="another_encoder is not the package that was known here"):
        run(RunSpec("overruling", "all-minilm-l6-v2", "setfit"))
    monkeypatch.setitem(ENCODERS, "all-minilm-l6-v2", dataclasses.replace(own, digest=digest(encoder)))
    assert _folder("all-minilm-l6-v2") == package / "model"


@pytest.mark.skipif(MINILM.path() is None, reason="the extra setfit is not installed: no sentence encoder")
def test_the_encoder_of_the_extra_is_the_known_one() -> None:
    path = MINILM.path()
    assert path is not None
    assert digest(path) == MINILM.digest
    tensors = load((path / "model.safetensors").read_bytes())
    floats = sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())
    assert floats == MINILM.parameters
