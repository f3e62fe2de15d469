"""`tfew pretrain`: one command for the pocket mixture and for P3."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import tfew_pl.pretraining
from tfew_pl import p3
from tfew_pl.adaptation_file import read

Tfew = Callable[..., Any]
Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    found: Calls = []

    def pretrain(*arguments: Any, **keywords: Any) -> bytes:
        found.append((arguments, keywords))
        return b"vectors"

    monkeypatch.setattr(tfew_pl.pretraining, "pretrain", pretrain)
    return found


def test_pocket(tfew: Tfew, calls: Calls, tmp_path: Path) -> None:
    out = tmp_path / "new" / "vectors.safetensors"
    assert tfew("pretrain", "--out", str(out), "--seed", "2").code == 0
    assert out.read_bytes() == b"vectors"
    assert list(out.parent.iterdir()) == [out]
    ((method, backbone, texts, recipe, seed), options) = calls[0]
    assert (method, backbone, recipe.steps, recipe.batch_size, seed) == ("ia3", "pocket-t0", 2000, 16, 2)
    assert recipe.learning_rate == 3e-3
    assert tfew("pretrain", "--out", str(tmp_path / "other"), "--learning-rate", "0.5").code == 0
    assert calls[1][0][3].learning_rate == 0.5
    assert recipe.unlikelihood_weight == recipe.length_norm_weight == 0
    assert options["checkpoint"].parent == out.parent
    first = next(iter(texts()))
    assert first == next(iter(texts()))  # every pass starts the mixture anew
    assert all(isinstance(part, str) for part in first)


def test_p3_as_the_paper_does(
    tfew: Tfew, calls: Calls, backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(p3, "examples", lambda seed, source: iter([(f"{seed} {source}", "target")]))
    arguments = ("--backbone", str(backbone_folder), "--precision", "bf16", "--seed", "3")
    assert tfew("pretrain", "--out", str(tmp_path / "v"), *arguments, "--devices", "2", "--strategy", "ddp").code == 0
    ((_, backbone, texts, recipe, seed), options) = calls[0]
    assert (backbone, recipe.steps, recipe.batch_size, seed) == (str(backbone_folder), 100_000, 16, 3)
    assert recipe.learning_rate == 3e-4
    assert (options["precision"], options["trainer"]) == ("bf16", {"devices": 2, "strategy": "ddp"})
    assert list(islice(texts(), 1)) == [("3 hub", "target")]


def test_it_writes_vectors_that_a_run_can_start_from(tfew: Tfew, backbone_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "vectors.safetensors"
    arguments = ("--backbone", str(backbone_folder), "--mixture", "pocket", "--steps", "2", "--batch-size", "2")
    assert tfew("pretrain", "--out", str(out), *arguments, "--accelerator", "cpu").code == 0
    assert read(out)[0]["method"] == "ia3"
    assert list(tmp_path.iterdir()) == [out]
    run = ("run", "--task", "rte", "--backbone", str(backbone_folder), "--steps", "1", "--examples", "2", "--store")
    options = (str(tmp_path / "store"), "--templates", "1", "--accelerator", "cpu", "--json")
    assert tfew(*run, *options, "--initial", str(out)).code == 0
    refused = tfew(*run, *options, "--initial", str(out), "--without", "pretraining")
    assert (refused.code, refused.out) == (2, "")
    assert "the run would not start from it" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--precision", "fp16"), "not fp16: T5's activations overflow it"),
        (("--backbone", "pocket-to"), "unknown backbone 'pocket-to'"),
        (("--mixture", "p3"), "the P3 mixture is streamed from the hub"),
        (("--mixture", "p3", "--data-root", "nowhere"), "--data-root nowhere: no such folder"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    tfew: Tfew, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = tfew("pretrain", "--out", str(tmp_path / "new" / "v"), *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
