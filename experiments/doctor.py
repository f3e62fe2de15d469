"""Whether this machine has what runs need."""

import json
import os
import platform
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Literal

from tfew_pl.errors import UserError

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
DISTRIBUTION = "tfew_pl"
HUB = "https://huggingface.co"
HUB_TIMEOUT = 3.0
"""Seconds."""
NEEDED_DISK = 200e6
"""Bytes: the records of all of the tables take less."""


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: str
    status: Literal["ok", "note", "broken"]
    """`note`: works, but worth knowing; `broken`: something that is needed is not there."""
    detail: str


def examine() -> Iterator[Finding]:
    """Every check's finding, one after the other."""
    for check in (python, packages, templates, backbones, device, hub, disk):
        try:
            yield check()
        except UserError as error:
            yield Finding(check.__name__, "broken", str(error))


def python() -> Finding:
    """Python's version against what the package asks for."""
    found = platform.python_version()
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    if not fits:
        return Finding("python", "broken", f"{found}; 3.11, 3.12 or 3.13 is needed")
    return Finding("python", "ok", found)


def required_packages() -> list[str]:
    """The packages that this one requires, and promptsource, which pip cannot be told of."""
    try:
        requirements = distribution(DISTRIBUTION).requires or []
    except PackageNotFoundError as error:
        raise UserError(f"{DISTRIBUTION} is not installed: run `make setup`") from error
    plain = [requirement for requirement in requirements if "extra ==" not in requirement]
    return sorted({re.split(r"[^\w.-]", requirement)[0] for requirement in plain} | {"promptsource"})


def pinned_versions(path: Path) -> dict[str, str]:
    """The versions in a constraints file; none where there is no such file, as in an installed wheel."""
    if not path.is_file():
        return {}
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("==") for line in lines if "==" in line)
    return {_normal(name): pinned for name, pinned in pairs}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(constraints: Path = CONSTRAINTS) -> Finding:
    """Installed packages: one that is missing is broken, one of another version than pinned is a note."""
    pinned = pinned_versions(constraints)
    names, missing, other = required_packages(), [], []
    for name in names:
        try:
            found = version(name).split("+")[0]  # without the mark of a local build, such as +cpu
        except PackageNotFoundError:
            missing.append(name)
            continue
        wanted = pinned.get(_normal(name), found)
        if found != wanted:
            other.append(f"{name} {found} (pinned: {wanted})")
    if missing:
        return Finding("packages", "broken", f"not installed: {', '.join(missing)}; run `make setup`")
    if other:
        return Finding("packages", "note", f"other versions than tested: {', '.join(other)}")
    return Finding("packages", "ok", f"{len(names)} installed" + (", as pinned" if pinned else ""))


def templates() -> Finding:
    """The P3 templates of every task."""
    from tfew_pl.tasks import TASKS

    counts = {task.name: len(task.templates()) for task in TASKS.values()}
    empty = [name for name, count in counts.items() if not count]
    if empty:
        return Finding("templates", "broken", f"promptsource has none for {', '.join(empty)}")
    return Finding("templates", "ok", f"{sum(counts.values())} of promptsource for {len(counts)} tasks")


def backbones() -> Finding:
    """The embedded backbones' weights."""
    from tfew_pl.backbones import ALIASES, revision

    folders = {name: Path(alias.source) for name, alias in ALIASES.items() if alias.is_local}
    missing = [name for name, folder in folders.items() if not folder.is_dir()]
    if missing:
        return Finding("backbones", "broken", f"not in the package: {', '.join(missing)}; install it again")
    files = {file for folder in folders.values() for file in folder.glob("*.safetensors")}
    for file in sorted(files):
        _check_weights(file)
    digests = (f"{name} {revision(name)}" for name in folders)
    return Finding("backbones", "ok", ", ".join(digests))


def _check_weights(file: Path) -> None:
    """Checks that a safetensors file is as long as its header says.

    Raises:
        UserError: it is not; it was cut, or is a pointer to a file that was not fetched.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= file.stat().st_size - 8:
                raise ValueError("no header")
            header = json.loads(stream.read(length))
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        if file.stat().st_size != 8 + length + end:
            raise ValueError("cut short")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: damaged weights ({error}); install the package again") from error


def device() -> Finding:
    """What runs compute on."""
    import torch

    from tfew_pl.matmul_precision import known_finding

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("device", "ok", f"CUDA: {names}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    products = f"fp32 products by `{known_finding().precision}`"
    return Finding("device", "ok", f"CPU, {cores} cores, {torch.get_num_threads()} threads, {products}")


def hub() -> Finding:
    """Whether real backbones and data could be fetched; nothing in the default needs them."""
    offline = "pocket backbones and data work without it"
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return Finding("hub", "note", f"HF_HUB_OFFLINE is set; {offline}")
    address = os.environ.get("HF_ENDPOINT", HUB)
    try:
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT):
            return Finding("hub", "ok", f"{address} answers")
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            return Finding("hub", "ok", f"{address} answers")
        reason = getattr(error, "reason", error)
        return Finding("hub", "note", f"{address} cannot be reached ({reason}); {offline}")


def disk(folder: Path | None = None) -> Finding:
    """Space for records where the command is run."""
    place = folder or Path.cwd()
    free = shutil.disk_usage(place).free
    detail = f"{free / 1e9:.1f} GB free in {place}"
    if free < NEEDED_DISK:
        return Finding("disk", "broken", f"{detail}; {NEEDED_DISK / 1e6:.0f} MB are needed")
    return Finding("disk", "ok", detail)
