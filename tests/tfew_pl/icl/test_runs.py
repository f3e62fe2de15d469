"""In-context learning as runs: every setting, on an encoder-decoder and on a causal language model."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tfew_pl.encoding import Encoded
from tfew_pl.icl import Probes
from tfew_pl.record import RunRecord
from tfew_pl.run import run
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, Evaluation, InContext, RunSpec
from tfew_pl.tasks.data import load_data

CPU = {"accelerator": "cpu"}
SETTINGS = {
    "ensemble": InContext(),
    "averaged": InContext(combine="mean"),
    "concatenated": InContext("concatenated", order=1, tokens=300),
    "calibrated": InContext("concatenated", calibrated=True),
    "query in the decoder": InContext(query="decoder", calibrated=True),
}


@pytest.fixture(scope="session")
def causal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 with a byte-level tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [str(value) for row in load_data("rte", "pocket").train[:60] for value in row.values()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    folder = tmp_path_factory.mktemp("causal")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=400, n_positions=700, n_embd=24, n_layer=2, n_head=3))
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.mul_(4.0)
    model.save_pretrained(folder)
    return folder


def spec(folder: Path, settings: InContext, **changes: Any) -> RunSpec:
    values = {"method": IN_CONTEXT, "shots": 4, "evaluation": Evaluation(examples=6, templates=2), **changes}
    return RunSpec(**{"task": "rte", **values}, backbone=str(folder), in_context=settings)


def check(record: RunRecord) -> None:
    assert len(record.predictions) == 6 * 2
    assert record.predictions["predicted"].isin([0, 1]).all()
    assert record.losses.empty
    assert record.adaptation is None
    assert record.costs.training_flops == record.costs.trained_parameters == 0
    assert record.costs.measured_inference_flops > 0


@pytest.mark.parametrize("name", SETTINGS)
def test_an_encoder_decoder(name: str, backbone_folder: Path) -> None:
    record = run(spec(backbone_folder, SETTINGS[name]), trainer=CPU)
    check(record)
    costs = record.costs
    assert 1 <= costs.shots <= 4
    assert costs.inference_flops >= costs.parameters * costs.input_tokens


@pytest.mark.parametrize("name", SETTINGS)
def test_a_causal_language_model(name: str, causal_folder: Path) -> None:
    record = run(spec(causal_folder, SETTINGS[name]), trainer=CPU)
    check(record)
    costs = record.costs
    assert costs.inference_flops > 2 * costs.parameters * costs.input_tokens


def test_settings_change_predictions(causal_folder: Path) -> None:
    found = {
        tuple(run(spec(causal_folder, settings), trainer=CPU).predictions["predicted"])
        for settings in (InContext(), InContext("concatenated"), InContext("concatenated", calibrated=True))
    }
    assert len(found) > 1


def test_zero_shot_on_a_causal_language_model(causal_folder: Path) -> None:
    record = run(spec(causal_folder, InContext(), method=ZERO_SHOT), trainer=CPU)
    check(record)
    assert record.costs.shots == 0


@pytest.mark.parametrize(("method", "positions"), [(ZERO_SHOT, 60), (IN_CONTEXT, 240)])
def test_a_causal_model_that_reads_little(method: str, positions: int, causal_folder: Path, tmp_path: Path) -> None:
    """Questions are cut so that the answers, and in context an example, fit before the last of its positions."""
    shutil.copytree(causal_folder, tmp_path / "short")
    model = GPT2LMHeadModel.from_pretrained(causal_folder)
    model.transformer.wpe = torch.nn.Embedding(positions, 24)
    model.config.n_positions = positions
    model.save_pretrained(tmp_path / "short")
    record = run(spec(tmp_path / "short", InContext(), method=method, task="copa"), trainer=CPU)
    check(record)


def test_costs_count_the_examples_that_fit(causal_folder: Path) -> None:
    one, four, many = (
        run(spec(causal_folder, InContext("concatenated"), shots=shots), trainer=CPU).costs for shots in (1, 4, 12)
    )
    assert (one.shots, four.shots) == (1, 4)
    assert 4 <= many.shots < 12  # not all fit into the 700 tokens that this model reads
    assert four.stored_bytes == pytest.approx(4 * one.stored_bytes)
    assert four.inference_flops > 2 * one.inference_flops


def test_offsets_and_the_way_to_combine_reach_the_prediction(
    backbone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One context is all for the first choice, three are for the second: the product of the probabilities follows the
    one, their mean the three.
    """

    def biased(examples: Sequence[Encoded], _probes: Probes, _score: object) -> list[Encoded]:
        return [replace(e, offsets=(0.0, 1e4) if e.context == 0 else (1e3, 0.0)) for e in examples]

    monkeypatch.setattr("tfew_pl.run.calibrate", biased)
    for combine, choice in (("product", 0), ("mean", 1)):
        settings = InContext(combine=combine, calibrated=True)  # type: ignore[arg-type]
        predicted = run(spec(backbone_folder, settings), trainer=CPU).predictions["predicted"]
        assert (predicted == choice).all()


def test_calibration_is_part_of_the_evaluation(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(examples: Sequence[Encoded], *_: object) -> list[Encoded]:
        time.sleep(0.5)
        return list(examples)

    monkeypatch.setattr("tfew_pl.run.calibrate", slow)
    costs = run(spec(backbone_folder, InContext("concatenated", calibrated=True)), trainer=CPU).costs
    assert costs.evaluation_seconds > 0.5
    assert costs.training_seconds < 0.5
