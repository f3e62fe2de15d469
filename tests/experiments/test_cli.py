"""The root of the command line: help, errors, exit codes."""

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from experiments import cli
from tfew_pl import __version__
from tfew_pl.errors import UserError

HEAVY = ("torch", "pandas", "numpy", "transformers", "pytorch_lightning", "matplotlib", "datasets")
Tfew = Callable[..., Any]


def python(code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, **options)


def test_help_names_every_command_in_one_line_each(tfew: Tfew) -> None:
    result = tfew("--help")
    assert result.code == 0
    for name in cli.COMMANDS:
        (line,) = (line for line in result.out.splitlines() if line.startswith(f"│ {name} "))
        assert line.rstrip(" │").endswith("."), f"the help of {name} is longer than a line"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_examples(tfew: Tfew, name: str) -> None:
    app = getattr(cli._load_module(name), "app", None)
    names = [""] if app is None else [sub.name or sub.callback.__name__ for sub in app.registered_commands]
    for sub in names:
        arguments = [word for word in (name, sub) if word]
        result = tfew(*arguments, "--help")
        assert result.code == 0
        assert "Example" in result.out
        assert f"tfew {' '.join(arguments)}" in result.out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_flows_with_the_terminal_and_examples_keep_their_lines(name: str) -> None:
    command = cli._load(name)
    for each in (command, *getattr(command, "commands", {}).values()):
        for paragraph in each.help.split("\n\n"):
            first, *rest = paragraph.split("\n")
            assert all(line.startswith("    ") for line in rest), paragraph
            assert first.startswith("Example") == bool(rest), paragraph


@pytest.mark.parametrize("name", ["tasks", "methods", "params", "backbones", "split", "doctor", "table", "run"])
def test_every_listing_has_json(tfew: Tfew, name: str) -> None:
    assert "--json" in tfew(name, "--help").out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom experiments.cli import main\n"
        "try:\n    main(['--help'])\n"
        f"finally:\n    print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    result = python(code)
    assert (result.returncode, result.stderr.split()) == (0, [])


def test_version(tfew: Tfew) -> None:
    assert tfew("--version").out == f"tfew {__version__}\n"


def test_unknown_command_is_answered_with_the_nearest(tfew: Tfew) -> None:
    result = tfew("tabel", "1")
    assert result.code == 2
    assert "Did you mean 'table'?" in result.err
    assert result.out == ""


def _with(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None, log: str = "") -> None:
    """Makes `tfew tasks` raise, or log."""

    def command() -> None:
        if log:
            logging.getLogger("tfew_pl.run").warning(log)
            logging.getLogger("some_library").info(log)
        if error is not None:
            raise error

    monkeypatch.setattr(cli, "_load_module", lambda name: SimpleNamespace(command=command))


def test_a_user_error_is_one_line(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, UserError("no task [red]rt[/red]"))
    assert tfew("tasks") == (2, "", "tfew: no task [red]rt[/red]\n")


def test_an_interruption_is_one_line(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, KeyboardInterrupt())
    assert tfew("tasks") == (130, "", "tfew: interrupted\n")


@pytest.mark.parametrize(("path", "shown"), [("a/b", " a/b"), (None, "")])
def test_a_full_disk_is_one_line_wherever_it_is_noticed(
    path: str | None, shown: str, tfew: Tfew, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with(monkeypatch, OSError(errno.ENOSPC, "No space left on device", path))
    assert tfew("tasks") == (2, "", f"tfew: cannot write{shown}: No space left on device\n")


def test_our_own_log_is_shown_once(tfew: Tfew, monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, log="a thing to know")
    for _ in range(2):
        assert tfew("tasks") == (0, "", "tfew: a thing to know\n")


def test_a_defect_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, ZeroDivisionError("a defect"))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        cli.main(["tasks"])


@pytest.mark.skipif(os.name != "posix", reason="pipes as on POSIX")
@pytest.mark.parametrize(
    "arguments", [["--help"], ["split", "--task", "rte", "--size", "4000000", "--shots", "300000"]]
)
def test_a_closed_pipe_is_silent(arguments: list[str]) -> None:
    code = "import sys\nfrom experiments.cli import main\nmain(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
