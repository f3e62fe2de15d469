"""What `tfew doctor` finds on sound and on broken machines."""

import json
import urllib.error
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import tfew_pl.backbones
import tfew_pl.prompts
from experiments import doctor
from experiments.doctor import Finding
from tfew_pl.errors import UserError

Tfew = Callable[..., Any]


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.python().status == "ok"
    version = namedtuple("version", "major minor")(3, 10)
    monkeypatch.setattr(doctor.sys, "version_info", (*version, 4))
    assert doctor.python().status == "broken"


def test_required_packages() -> None:
    names = doctor.required_packages()
    assert {"torch", "pytorch-lightning", "transformers", "promptsource"} <= set(names)
    assert "pytest" not in names  # of an extra


def test_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"a_b": "1.0+cpu", "c": "2.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise doctor.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "required_packages", lambda: ["a_b", "c"])
    pins = tmp_path / "constraints.txt"
    pins.write_text("# versions\nA-B==1.0\nc==2.0  # a reason\n")
    assert doctor.packages(pins) == Finding("packages", "ok", "2 installed, as pinned")
    assert doctor.packages(tmp_path / "none") == Finding("packages", "ok", "2 installed")
    installed["c"] = "2.1"
    assert doctor.packages(pins) == Finding("packages", "note", "other versions than tested: c 2.1 (pinned: 2.0)")
    del installed["a_b"]
    assert doctor.packages(pins) == Finding("packages", "broken", "not installed: a_b; run `make setup`")


def test_templates() -> None:
    # 8 of COPA, 4 of HellaSwag, 5 + 5 of Story Cloze and Winogrande, 10 each of WSC, WiC, RTE, 15 each of CB, ANLI.
    assert doctor.templates() == Finding("templates", "ok", "112 of promptsource for 11 tasks")


def test_templates_without_promptsource(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise UserError("promptsource is not installed")

    monkeypatch.setattr(tfew_pl.prompts, "templates_folder", missing)
    monkeypatch.setattr(doctor, "hub", lambda: Finding("hub", "ok", ""))
    found = {finding.check: finding for finding in doctor.examine()}
    assert found["templates"] == Finding("templates", "broken", "promptsource is not installed")
    assert "disk" in found  # the checks behind it are made all the same


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of weights, which is that of the only embedded backbone."""
    file = tmp_path / "model.safetensors"
    save_file({"a": np.ones((4, 4), np.float32)}, file)
    aliases = {"pocket": tfew_pl.backbones.Alias("", str(tmp_path))}
    monkeypatch.setattr(tfew_pl.backbones, "ALIASES", aliases)
    tfew_pl.backbones.revision.cache_clear()
    yield file
    tfew_pl.backbones.revision.cache_clear()


def test_backbones(weights: Path) -> None:
    finding = doctor.backbones()
    assert finding.status == "ok"
    assert finding.detail == f"pocket {tfew_pl.backbones.revision('pocket')}"


@pytest.mark.parametrize("damage", ["cut", "pointer", "empty"])
def test_damaged_weights(weights: Path, damage: str) -> None:
    content = {
        "cut": weights.read_bytes()[:-8],
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "empty": b"",
    }[damage]
    weights.write_bytes(content)
    with pytest.raises(UserError, match="damaged weights"):
        doctor.backbones()


def test_backbones_that_were_not_packaged(weights: Path) -> None:
    weights.unlink()
    weights.parent.rmdir()
    assert doctor.backbones().status == "broken"


def test_no_hub_is_worth_a_note_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.hub().status == "note"  # tests run offline
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    finding = doctor.hub()
    assert finding.status == "note"
    assert "http://127.0.0.1:9 cannot be reached" in finding.detail


def test_a_hub_that_answers_with_an_error_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise urllib.error.HTTPError("", 405, "", None, None)  # type: ignore[arg-type]

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(doctor.urllib.request, "urlopen", refuse)
    assert doctor.hub().status == "ok"


def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert doctor.disk(tmp_path).status == "ok"
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 10**6)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert doctor.disk(tmp_path).status == "broken"


def test_exit_code_and_json(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding("python", "ok", "3.11"), Finding("hub", "note", "offline")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))
    assert tfew("doctor") == (0, "ok      python     3.11\nnote    hub        offline\n", "")
    findings.append(Finding("disk", "broken", "full"))
    result = tfew("doctor", "--json")
    assert result.code == 1
    assert [row["status"] for row in json.loads(result.out)] == ["ok", "note", "broken"]
