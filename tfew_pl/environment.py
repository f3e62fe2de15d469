"""What a record says of the machine and the code that made it."""

import platform
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("tfew_pl", "torch", "pytorch-lightning", "transformers", "datasets", "promptsource", "numpy")

_CODE = ("tfew_pl", "baselines", "experiments", "setup.cfg", "constraints.txt")
"""Of the working copy, what numbers depend on."""


def package_versions(others: Sequence[str] = ()) -> dict[str, str | None]:
    """Versions of the packages on which numbers depend, these and others; None for one that is not installed."""
    versions: dict[str, str | None] = {}
    for package in (*PACKAGES, *others):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The commit of the working copy, with "+" if its code differs from it; None outside a working copy."""
    folder = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "--", str(Path(__file__)))  # else it lies in somebody else's working copy
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def describe(device: torch.device, others: Sequence[str] = ()) -> dict[str, Any]:
    """The environment of a run: device, threads, precision of fp32 products, versions (of others too), commit."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "python": platform.python_version(),
        "packages": package_versions(others),
        "commit": commit(),
    }
