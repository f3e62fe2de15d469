"""The README: its commands are commands, its paths are there, and it says of the code what the code does."""

import dataclasses
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from experiments.cli import app, main
from experiments.quantities import rate
from tfew_pl.recipe import INGREDIENTS, RECIPES
from tfew_pl.registry import method_class, registered_methods

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = ROOT / "results" / "pocket" / "table1.md"


def code_lines() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.M | re.S)
    lines = (shlex.join(shlex.split(line, comments=True)) for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def inline_code() -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))


TFEW = sorted({line for line in (*code_lines(), *inline_code()) if line.startswith("tfew ")})
MAKE = sorted({line for line in (*code_lines(), *inline_code()) if line.startswith("make ")})


def contexts(command: Any, arguments: list[str], name: str) -> Iterator[Any]:
    """Parses arguments as the command line does, without running anything."""
    context = command.make_context(name, arguments, resilient_parsing=False)
    with context:
        yield context
        if hasattr(command, "resolve_command"):
            name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            yield from contexts(inner, rest, name)


def test_there_are_commands() -> None:
    assert {line.split()[0] for line in code_lines()} == {"make", "tfew"}
    assert len(TFEW) >= 12
    assert {"make reproduce-table1", "make test"} <= set(MAKE)


@pytest.mark.parametrize("line", TFEW)
def test_tfew_commands_parse(line: str) -> None:
    arguments = shlex.split(line)[1:]
    if arguments[-1] == "--help":
        with pytest.raises(typer.Exit):
            list(contexts(typer.main.get_command(app), arguments, "tfew"))
    else:
        parsed = [context.info_name for context in contexts(typer.main.get_command(app), arguments, "tfew")]
        assert parsed == ["tfew", *arguments[: len(parsed) - 1]]  # a command, and its subcommand where it has some
        assert len(parsed) > 1


def test_a_command_that_is_none_does_not_parse() -> None:
    for line in ("tfew rn --task rte", "tfew run", "tfew split --task rte --size many", "tfew table 1 --jsn"):
        with pytest.raises(Exception, match=r"(?i)no such|missing|invalid|valid integer|did you mean"):
            list(contexts(typer.main.get_command(app), shlex.split(line)[1:], "tfew"))


@pytest.mark.parametrize("line", [line for line in TFEW if line.split()[1] in ("tasks", "methods", "split", "audit")])
def test_cheap_commands_run(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(line)[1:])
    assert not caught.value.code
    assert capsys.readouterr().out


@pytest.mark.parametrize("line", MAKE)
def test_make_targets_exist(line: str) -> None:
    words = shlex.split(line)[1:]
    targets = [word for word in words if "=" not in word]
    result = subprocess.run(
        ["make", "--dry-run", "--always-make", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert targets
    assert result.returncode == 0, result.stderr


def test_grids_are_there() -> None:
    for line in TFEW:
        if line.startswith("tfew grid "):
            name = line.split()[2]
            shown = f"Say this is `{name}`:\n\n```yaml\n" in README
            assert shown or (ROOT / name).is_file() or (ROOT / "experiments" / "grids" / f"{name}.yaml").is_file()


def test_paths_are_there() -> None:
    paths = [code for code in inline_code() if re.fullmatch(r"[\w.-]+/[\w./*-]*", code)]
    assert len(paths) > 8
    made = ("results/pocket",)  # by the commands
    for path in paths:
        if not path.startswith(made):
            places = [*ROOT.glob(path.rstrip("/")), *(ROOT / "experiments").glob(path.rstrip("/"))]
            assert places, path


def test_ingredients_are_all_named() -> None:
    sentence = re.search(r"`--without` takes (.*?)\.\n", README, flags=re.S)
    assert sentence is not None
    assert re.findall(r"`([^`]+)`", sentence[1]) == list(INGREDIENTS)


def test_the_release_differs_where_the_table_says() -> None:
    paper, release = (dataclasses.asdict(RECIPES[name]) for name in ("paper", "release"))
    different = {name for name, value in paper.items() if release[name] != value}
    assert different == {"unlikelihood_form", "dropout", "drop_last"}
    section = README.split("--recipe release` |")[1].split("\n\n")[0]
    assert len(section.strip().splitlines()) - 1 == len(different)


def _methods_table() -> dict[str, tuple[str, ...]]:
    """The table of the methods' own differences: the cells behind the name, by method."""
    lines = README.split("| method | paper | release | ours |\n|---|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    return {name: row[1:] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


@pytest.mark.parametrize("name", sorted(registered_methods()))
def test_the_methods_differ_where_their_table_says(name: str) -> None:
    """What is trained otherwise by `--recipe release` is there, with both values; and nothing else is."""
    row, method = _methods_table().get(name), method_class(name)
    release = method.remarks.release
    if row is None:
        assert name in ("full", "ia3"), "of which paper and release say the same"
        assert not release
        return
    paper, theirs, ours = row
    assert ("`--recipe release`:" in ours) == bool(release)
    for field, value in release.items():
        before, after = (_said(field, number) for number in (method.recipe[field], value))
        assert before in paper
        assert after in theirs
        assert f"{before}, `--recipe release`: {after.removeprefix('learning rate ')}" in ours
    for field in {"steps", "learning_rate"} - set(release):
        assert not re.search({"steps": r"\d steps", "learning_rate": "rate"}[field], " ".join(row))


def _said(field: str, value: float) -> str:
    return {"steps": f"{value:,} steps", "learning_rate": f"learning rate {rate(value)}"}[field]


def test_results_are_those_of_the_records() -> None:
    between = re.search(r"<!-- table1 -->\n(.*?)<!-- /table1 -->", README, flags=re.S)
    assert between is not None
    if TABLE.is_file():
        assert between[1].strip() == TABLE.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("path", ["README.md", "tfew_pl/pocket/MODEL_CARD.md"])
def test_the_gain_over_zero_shot_is_that_of_the_records(path: str) -> None:
    page = (TABLE.parent / "README.md").read_text(encoding="utf-8")
    gain = re.search(r'"T-Few" is ([\d.]+) points \[([\d.]+), ([\d.]+)\] above "Zero-shot"', page)
    assert gain is not None
    said = re.search(
        r"([\d.]+)\s(?:points\s)?(?:over|above)\szero-shot[^(]*\(95\s%\sinterval\s([\d.]+)\sto\s([\d.]+)\)",
        (ROOT / path).read_text(encoding="utf-8"),
    )
    assert said is not None
    assert said.groups() == gain.groups()
