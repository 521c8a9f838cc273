"""The table of commands, found in this folder: a module or package `name` with a function `name` is that command.

A module `merge_lora` is the command `merge-lora`.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from llamachat import __version__, cli
from llamachat.cli.everywhere import Color, Everywhere, NoInput, Offline, Profile
from llamachat.cli.groups import flattened
from llamachat.cli.help import HELP_ALL, program_page, whole_program_page
from llamachat.cli.settings.command import SettingsCommand, print_help, shown
from llamachat.cli.words import asks_for, asks_for_debug, dashed, spelled_out
from llamachat.errors import ExitCode

SUMMARY = "Chat with local GGUF language models, in the terminal and in scripts."

MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.ERROR: "error",
    ExitCode.USAGE: "wrong option or argument",
    ExitCode.MODEL: "the model cannot be loaded",
    ExitCode.CONTEXT: "the prompt does not fit the context",
    ExitCode.LENGTH: "ended by length (only with --fail-on-length)",
    ExitCode.SCHEMA: "the output failed its schema or grammar",
    ExitCode.MEMORY: "not enough memory",
    ExitCode.INTERRUPT: "interrupted (Ctrl+C)",
    ExitCode.BROKEN_PIPE: "broken pipe",
    ExitCode.TERMINATED: "terminated",
}


def run_app(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code; an empty one shows the help. Errors are raised."""
    stdout = sys.stdout
    try:
        code = make_program()(arguments or ["--help"], prog_name="llamachat", standalone_mode=False)
    except SystemExit:
        if sys.stdout is stdout:
            raise
        # Typer turns a broken pipe into exit code 1, which says nothing, and puts a wrapper around the output.
        sys.stdout = stdout
        return ExitCode.BROKEN_PIPE
    return code if isinstance(code, int) else ExitCode.DONE


def wants_traceback(arguments: list[str]) -> bool:
    """Whether a command line asks for --debug."""
    return asks_for_debug(arguments, make_program())


def make_program() -> Any:
    """The program, as a group of commands."""
    app = typer.Typer(
        add_completion=False,
        cls=Program,
        context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": dashed},
        epilog=_exit_codes(),
        help=SUMMARY,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_program)
    program: Any = get_command(app)
    program.commands = Commands()
    return program


class Commands(Mapping[str, Any]):
    """The commands by name, each made when it is first asked for: one alone costs a quarter of all."""

    def __init__(self) -> None:
        self._modules = {dashed(module.name): module.name for module in iter_modules(cli.__path__)}

    def __getitem__(self, name: str) -> Any:
        command = _command(self._modules[name]) if name in self._modules else None
        if command is None:
            raise KeyError(name)
        return command

    def __iter__(self) -> Iterator[str]:
        return (name for name in sorted(self._modules) if _command(self._modules[name]) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@cache
def _command(name: str) -> Any:
    """The command of a module or package; None where it has none."""
    function = vars(import_module(f"llamachat.cli.{name}")).get(name)
    if function is None:
        return None
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(dashed(name), cls=SettingsCommand)(flattened(function, Everywhere))
    return get_command(app)


class Program(TyperGroup):
    """The program; its help lists the commands under headings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the words up to the command's name."""
        words = list(spelled_out(args, self))
        if asks_for(HELP_ALL, words, self):
            print_help(whole_program_page(self))
            ctx.exit()
        return super().parse_args(ctx, words)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        formatter.write(shown(program_page(self)))


def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print a traceback if something fails.")] = False,
    profile: Profile = None,
    color: Color = "auto",
    no_input: NoInput = False,
    offline: Offline = False,
) -> None:
    # What --debug asks for, and --version as the first argument, is done in __main__.
    if version:
        print(f"llamachat {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


_program.__doc__ = SUMMARY


def _exit_codes() -> str:
    lines = [f"  {int(code):3}  {MEANINGS[code]}" for code in ExitCode]
    return "\n".join(["\b", "Exit codes:", *lines])
