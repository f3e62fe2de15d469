"""Two processes give what one gives: the same batches, the same losses, the same updates, one record."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load, load_file

from tfew_pl.record import RunRecord
from tfew_pl.store import RunStore

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("on_devices.py")
STRATEGIES = ("ddp", "fsdp")


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("on_devices", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def two(backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that two processes have written to, and their output."""
    out = tmp_path_factory.mktemp("two")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, str(SCRIPT), str(backbone_folder), str(out)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=560)
    assert result.returncode == 0, result.stderr[-3000:]
    told = [line for line in result.stderr.splitlines() if not line.startswith("Wrote ")]
    assert told == [], "nothing of what libraries say shows"
    return out, result.stdout


@pytest.fixture(scope="module")
def alone(backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that one process has written to."""
    out = tmp_path_factory.mktemp("alone")
    _script().run_all(str(backbone_folder), out, None, "0")
    return out


@pytest.fixture(scope="module")
def halves(backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one process that takes half a batch at a time, as each of two processes does."""
    out, script = tmp_path_factory.mktemp("halves"), _script()
    for method in script.methods(None):
        flags = ("--accelerator", "cpu", "--accumulate", 2, "--store", out)
        script.tfew(*script.training(str(backbone_folder)), "--method", method, *flags)
    return out


def _records(folder: Path) -> dict[str, RunRecord]:
    return {record.spec.method: record for record in RunStore(folder).records()}


def _close(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        # Adafactor's updates do not shrink with their gradients: roundings of small ones show.
        torch.testing.assert_close(found[name], tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_method_learns_what_it_learns_on_one_device(strategy: str, two: tuple[Path, str], alone: Path) -> None:
    found, expected = _records(two[0] / f"{strategy}-0"), _records(alone / "None-0")
    assert sorted(found) == sorted([*_script().methods(strategy), "zero-shot"])
    for method, record in found.items():
        reference = expected[method]
        assert (record.spec, record.accuracy) == (reference.spec, reference.accuracy)
        pd.testing.assert_frame_equal(record.predictions, reference.predictions)
        pd.testing.assert_frame_equal(record.losses, reference.losses, rtol=1e-4, atol=1e-6)
        for name in ("parameters", "trained_parameters"):
            assert getattr(record.costs, name) == getattr(reference.costs, name)
        assert record.environment["devices"] == 2
        if reference.adaptation is not None:
            assert record.adaptation is not None
            _close(load(record.adaptation), load(reference.adaptation))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_devices_compute_what_one_computes_in_halves(
    strategy: str, two: tuple[Path, str], alone: Path, halves: Path
) -> None:
    whole, parts = _records(alone / "None-0"), _records(halves)
    for method, record in _records(two[0] / f"{strategy}-0").items():
        kinds = {"measured_inference_flops": whole[method], "measured_training_flops": parts.get(method, whole[method])}
        for name, reference in kinds.items():
            one, other = getattr(record.costs, name), getattr(reference.costs, name)
            # Divided layers take no choices side by side: starts and padding more, and a prompt for each of them.
            assert one == other if strategy == "ddp" else other <= one <= 1.5 * other, (method, name)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pretraining_gives_the_vectors_of_one_device(strategy: str, two: tuple[Path, str], alone: Path) -> None:
    _close(load_file(two[0] / f"{strategy}-0.safetensors"), load_file(alone / "None-0.safetensors"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_first_process_alone_writes_and_speaks(strategy: str, two: tuple[Path, str]) -> None:
    out, told = two
    assert [path for path in out.rglob(f"*{strategy}-1*/**/*") if path.is_file()] == []
    assert list(out.glob(f"*{strategy}-1.safetensors*")) == []
    bars = [line for line in told.splitlines() if line.startswith("pre-training")]
    assert len(bars) == len(STRATEGIES)
    rest, shown = "\n".join(line for line in told.splitlines() if line not in bars), []
    while rest := rest.lstrip():
        value, end = json.JSONDecoder().raw_decode(rest)
        shown.append(value["spec"]["method"])
        rest = rest[end:]
    assert shown == [*_script().methods("ddp"), "zero-shot", *_script().methods("fsdp"), "zero-shot"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_training_ends_with_the_numbers_it_would_have_had(strategy: str, two: tuple[Path, str]) -> None:
    folder = two[0] / strategy
    (undisturbed,) = RunStore(folder / "undisturbed").records()
    (resumed,) = RunStore(folder / "resumed").records()
    assert resumed.adaptation == undisturbed.adaptation
    pd.testing.assert_frame_equal(resumed.losses, undisturbed.losses, check_exact=True)
    assert (folder / "resumed.safetensors").read_bytes() == (folder / "undisturbed.safetensors").read_bytes()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_checkpoints_hold_the_adaptation_alone(strategy: str, two: tuple[Path, str]) -> None:
    kept = torch.load(two[0] / strategy / "resumed.checkpoint", weights_only=True)["state_dict"]
    assert all(name.startswith("adaptation.") for name in kept)
    (path,) = (two[0] / strategy / "checkpoints").iterdir()
    tensors = load_file(path)
    trained = {name: t for name, t in tensors.items() if name.startswith("parameter.")}
    assert 0 < sum(t.numel() for t in trained.values()) < 2000
    assert len(tensors["generator.cpu"]) == 2, "random numbers of both processes"
    assert not torch.equal(*tensors["generator.cpu"])
