"""The `tfew` command: the roof, which nothing imports.

A command's module is imported when that command, or the list of all, is asked for; none of them imports
anything heavy before it runs.
"""

import importlib
import keyword
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tfew_pl import __version__
from tfew_pl.errors import UserError
from tfew_pl.processes import is_first

COMMANDS = tuple(
    (
        "run grid ablate store table figure compare claims tasks methods params backbones split fit predict "
        "merge raft import export data pretrain audit cost leaderboard doctor pocket"
    ).split()
)
"""In the order of the help; each is a module of `experiments.commands`, with `_` behind a word of Python's own."""

PACKAGES = ("tfew_pl", "baselines", "experiments")
"""Whose log is shown."""


def _load_module(name: str) -> Any:
    module = f"{name}_" if keyword.iskeyword(name) else name
    return importlib.import_module(f"experiments.commands.{module}")


def _load(name: str) -> Any:
    """The command of that name: its module's `app` where it has subcommands, else its `command`."""
    module = _load_module(name)
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name)(module.command)
    command = typer.main.get_command(app)
    command.name = name
    for each in (command, *getattr(command, "commands", {}).values()):
        each.help = _flowing(each.help or "")
    return command


def _flowing(text: str) -> str:
    """A help text whose paragraphs flow as wide as the terminal; examples and lists, which are indented, stay."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if "\n " in part else part.replace("\n", " ") for part in paragraphs)


class Commands(TyperGroup):
    """The list of commands, each imported when it is looked at."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; typer itself would end an interrupted one without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("tfew: interrupted", err=True)
            raise typer.Exit(130) from None

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, None if there is none."""
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name; an unknown one is answered with the nearest names."""
        choices: Any = dict.fromkeys(COMMANDS)
        self.commands = choices  # from which an unknown name's neighbors are chosen
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tfew {__version__}")
        raise typer.Exit()


@app.callback()
def tfew(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Few-shot parameter-efficient fine-tuning: T-Few, its baselines, and the tables of its paper."""


class _Echo(logging.Handler):
    """Shows what our own packages log; libraries have ways of their own."""

    def emit(self, record: logging.LogRecord) -> None:
        if is_first():
            typer.echo(f"tfew: {self.format(record)}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 2 for what the user can mend, 130 for an interruption.

    Args:
        arguments: without the program's name; None for those of this process.
    """
    for package in PACKAGES:
        logger = logging.getLogger(package)
        if not any(isinstance(handler, _Echo) for handler in logger.handlers):
            logger.addHandler(_Echo())
    try:
        try:
            app(args=arguments, prog_name="tfew")
        finally:
            sys.stdout.flush()
    except UserError as error:
        _fail(str(error), 2)
    except BrokenPipeError:
        # Whoever read the output has closed it. Python flushes once more at exit: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        from tfew_pl.store import disk_refuses

        if not disk_refuses(error):
            raise
        _fail(f"cannot write{f' {error.filename}' if error.filename else ''}: {error.strerror}", 2)


def _fail(message: str, code: int) -> None:
    if is_first():  # the processes that compute together fail alike
        typer.echo(f"tfew: {message}", err=True)
    sys.exit(code)
