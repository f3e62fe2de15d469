import json
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from tfew_pl import environment


def test_versions_of_what_numbers_depend_on() -> None:
    versions = environment.package_versions()
    for package in ("torch", "transformers", "numpy"):
        assert versions[package] == version(package)


def test_description_is_json() -> None:
    found = environment.describe(torch.device("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert found["device"].startswith("cpu")
    assert found["python"] == platform.python_version()
    assert found["threads"] == torch.get_num_threads()
    assert found["float32_matmul_precision"] == torch.get_float32_matmul_precision()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working copy with the code and records, committed."""
    for folder in ("tfew_pl", "results"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("as committed")
    shutil.copy(environment.__file__, tmp_path / "tfew_pl" / "environment.py")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "all")):
        who = ("-c", "user.name=n", "-c", "user.email=n@example.org")
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "tfew_pl" / "environment.py"))
    return tmp_path


@pytest.mark.parametrize(("folder", "mark"), [("tfew_pl", "+"), ("results", "")])
def test_code_that_differs_from_its_commit_is_marked_and_records_that_move_are_not(
    copy: Path, folder: str, mark: str
) -> None:
    found = environment.commit.__wrapped__()
    assert found is not None
    assert len(found) == 40
    (copy / folder / "file").write_text("changed")
    assert environment.commit.__wrapped__() == found + mark


def test_the_working_copy_of_somebody_else_is_not_ours(copy: Path) -> None:
    subprocess.run(["git", "-C", copy, "rm", "-q", "--cached", "tfew_pl/environment.py"], check=True)
    assert environment.commit.__wrapped__() is None
