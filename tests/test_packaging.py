"""What a stranger's `make` and `pip` rely on: pins, targets, the bootstrap, and what a wheel carries."""

import configparser
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("tfew_pl", "baselines", "experiments")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def requirements() -> list[Requirement]:
    extras = config()["options.extras_require"]
    named = lines(config()["options"]["install_requires"]) + [line for key in extras for line in lines(extras[key])]
    return [Requirement(line) for line in named]


def installed(name: str) -> bool:
    return bool(list(importlib.metadata.distributions(name=name)))


def needs(name: str, extras: frozenset[str]) -> set[tuple[str, frozenset[str]]]:
    """What an installed package requires here: names, each with the extras that are asked of it."""
    return {
        (canonicalize_name(needed.name), frozenset(needed.extras))
        for needed in map(Requirement, importlib.metadata.requires(name) or [])
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    }


def pins() -> dict[str, str]:
    found = lines((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in found)}


def variable(name: str) -> str:
    match = re.search(rf"^{name} :?\??= *(.*)$", MAKEFILE, re.MULTILINE)
    assert match is not None
    return match.group(1)


def make(
    *arguments: str, folder: Path = ROOT, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs make as a person would: what an outer `make test ARGS=...` passes down is left out."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS"))
        and name not in {"ARGS", "PYTHON", "BACKBONE", "DATA", "STORE", "WORKERS", "COMPILE"}
    }
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=inherited | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# Pins


def test_constraints_are_plain_pins() -> None:
    wrong = [
        line
        for line in lines((ROOT / "constraints.txt").read_text(encoding="utf-8"))
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][a-z0-9.]*", line)
    ]
    assert not wrong, "no paths, URLs, hashes, ranges or local version labels"


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_every_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


# torch names the CUDA libraries of its own build, which differ between platforms and follow from its pin.
PLATFORM = re.compile(r"^(nvidia-.*|cuda-.*|triton.*)$")


def test_the_pins_are_closed_over_dependencies() -> None:
    """Whatever is needed here is pinned too, and nothing else; `make` leaves some extras out, and what they need."""
    open_ones = {(canonicalize_name(needed.name), frozenset(needed.extras)) for needed in requirements()}
    seen: set[tuple[str, frozenset[str]]] = set()
    while open_ones:
        one = open_ones.pop()
        seen.add(one)
        if installed(one[0]):
            open_ones |= {needed for needed in needs(*one) - seen if not PLATFORM.match(needed[0])}
    found = {name for name, _ in seen}
    assert not found - set(pins())
    assert not {name for name in set(pins()) - found if installed(name)}, "pins of what nothing here needs"


def test_versions_that_the_makefile_names_agree() -> None:
    assert pins()["torch"] == variable("TORCH_VERSION")
    promptsource = variable("PROMPTSOURCE_VERSION")
    assert set(re.findall(r"promptsource==([\d.]+)", (ROOT / "setup.cfg").read_text(encoding="utf-8"))) == {
        promptsource
    }
    assert importlib.metadata.version("promptsource") == promptsource


def test_the_makefile_accepts_the_pythons_that_setup_cfg_names() -> None:
    bounds = re.search(r"\((\d+), (\d+)\) <= sys.version_info\[:2\] < \((\d+), (\d+)\)", MAKEFILE)
    assert bounds is not None
    low_major, low, high_major, high = bounds.groups()
    accepted = SpecifierSet(f">={low_major}.{low},<{high_major}.{high}")
    assert SpecifierSet(config()["options"]["python_requires"]) == accepted


# Targets


def test_help_lists_every_documented_target() -> None:
    documented = dict(re.findall(r"^([a-z][a-z0-9-]*):.*?## (.*)$", MAKEFILE, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", make("--print-data-base", "--dry-run", "help").stdout, re.MULTILINE)
    assert phony is not None
    assert set(phony.group(1).split()) == set(documented)
    for answer in (make("help"), make()):
        listed = dict(re.findall(r"^  make (\S+) +(.*)$", answer.stdout, re.MULTILINE))
        assert listed == documented, answer.stderr


@pytest.mark.parametrize(
    ("given", "grid", "table"),
    [
        ([], "", ""),
        (["WORKERS=2"], " --workers 2", ""),
        (["COMPILE=0"], "", ""),
        (
            ["BACKBONE=t0-3b", "DATA=hub", "STORE=/tmp/runs", "WORKERS=1", "COMPILE=1"],
            " --backbone t0-3b --data hub --store /tmp/runs --workers 1 --compile",
            " --backbone t0-3b --data hub --store /tmp/runs",
        ),
    ],
)
def test_reproduce_table1_passes_on_what_is_set(given: list[str], grid: str, table: str) -> None:
    answer = make("--dry-run", "--old-file=.venv/.ready", "reproduce-table1", *given)
    commands = [" ".join(line.split()) for line in answer.stdout.splitlines() if "tfew" in line]
    assert commands == [
        f".venv/bin/tfew grid table1{grid}",
        f".venv/bin/tfew table 1{table}",
    ]


def test_ci_runs_what_check_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    targets = re.search(r"for target in (.*); do", script.read_text(encoding="utf-8"))
    check = re.search(r"^check: (.*?) ##", MAKEFILE, re.MULTILINE)
    assert targets is not None
    assert check is not None
    assert targets.group(1).split() == ["setup", *check.group(1).split()]


# The bootstrap, with a .venv whose python only writes down how it was called


Bootstrap = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bootstrap(tmp_path: Path) -> Bootstrap:
    """`make setup` in a copy; the stand-in for .venv/bin/python fails where its arguments contain FAILING."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\necho "$*" >>calls\necho "pip says: $*"\n'
        '[ -z "$FAILING" ] || case "$*" in *"$FAILING"*) exit 1;; esac\n',
        encoding="utf-8",
    )
    python.chmod(0o755)

    def run(*arguments: str, failing: str = "") -> subprocess.CompletedProcess[str]:
        return make("setup", *arguments, folder=tmp_path, environment={"FAILING": failing})

    return run


def test_a_finished_setup_is_not_repeated(bootstrap: Bootstrap, tmp_path: Path) -> None:
    first = bootstrap()
    assert first.returncode == 0, first.stderr
    assert [line for line in first.stdout.splitlines() if line.startswith("[")] == [
        "[1/4] .venv is there",
        "[2/4] installing the libraries (two minutes when pip has them at hand)",
        f"[3/4] installing the P3 templates (promptsource {variable('PROMPTSOURCE_VERSION')})",
        "[4/4] checking that they load",
    ]
    assert "pip says: -m pip" not in first.stdout
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    assert f"--no-deps --ignore-requires-python promptsource=={variable('PROMPTSOURCE_VERSION')}" in calls
    assert "-c constraints.txt --no-build-isolation -e .[dev]" in calls
    assert "[1/4]" not in bootstrap().stdout
    assert (tmp_path / "calls").read_text(encoding="utf-8") == calls

    later = (tmp_path / ".venv" / ".ready").stat().st_mtime + 10
    os.utime(tmp_path / "constraints.txt", (later, later))
    assert "[1/4]" in bootstrap().stdout


@pytest.mark.parametrize("failing", ["-e .[dev]", "promptsource", "import datasets"])
def test_a_failed_setup_says_why_and_is_resumed(bootstrap: Bootstrap, tmp_path: Path, failing: str) -> None:
    failed = bootstrap(failing=failing)
    assert failed.returncode != 0
    assert not (tmp_path / ".venv" / ".ready").exists()
    assert f"{tmp_path}/setup.log" in failed.stderr
    assert "| pip says: " in failed.stderr
    assert failing == "import datasets" or "it goes on from here." in failed.stderr
    assert bootstrap().returncode == 0
    assert (tmp_path / ".venv" / ".ready").exists()


def test_what_a_killed_pip_left_is_installed_over(bootstrap: Bootstrap, tmp_path: Path) -> None:
    (tmp_path / ".venv" / ".unfinished").touch()
    assert bootstrap().returncode == 0
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    installs = [call for call in calls if " install " in call]
    assert len(installs) == 3
    assert all(" install --ignore-installed " in call for call in installs)
    assert not (tmp_path / ".venv" / ".unfinished").exists()


def test_a_missing_python_is_named(bootstrap: Bootstrap, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / ".venv")
    answer = bootstrap("PYTHON=no-such-python")
    assert answer.returncode != 0
    assert "needs Python 3.11" in answer.stderr
    assert "make setup PYTHON=/path/to/python3.11" in answer.stderr


# What is installed


def test_the_command_can_be_imported() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="tfew")
    assert lines(config()["options.entry_points"]["console_scripts"]) == [f"tfew = {command.value}"]
    assert callable(command.load())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in a wheel and in a source distribution, built from a copy without network."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, folder)
    for package in PACKAGES:
        if (ROOT / package).is_dir():
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    script = "import setuptools.build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, capture_output=True, timeout=120)
    (wheel,) = (folder / "dist").glob("*.whl")
    (source,) = (folder / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(source) as archive:
        in_source = {name.partition("/")[2] for name in archive.getnames()}
    return in_wheel, in_source


def shipped() -> set[str]:
    """Every module, and the data without which the installed package does not work."""
    patterns = [f"{package}/**/*.py" for package in PACKAGES]
    patterns += ["tfew_pl/pocket/checkpoints/**/*", "tfew_pl/pocket/*.md", "experiments/grids/*.yaml"]
    return {
        path.relative_to(ROOT).as_posix()
        for pattern in patterns
        for path in ROOT.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_distributions_carry_code_checkpoints_and_grids(built: tuple[set[str], set[str]]) -> None:
    in_wheel, in_source = built
    assert not shipped() - in_wheel
    assert not shipped() - in_source
    assert "experiments/grids/table1.yaml" in in_wheel
    for checkpoint in ("pocket-t0", "pocket-lm"):
        for name in ("config.json", "model.safetensors"):
            assert f"tfew_pl/pocket/checkpoints/{checkpoint}/{name}" in in_wheel
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)


def test_a_wheel_carries_nothing_else(built: tuple[set[str], set[str]]) -> None:
    roots = {name.partition("/")[0] for name in built[0]}
    assert {root for root in roots if not root.endswith(".dist-info")} <= set(PACKAGES)
