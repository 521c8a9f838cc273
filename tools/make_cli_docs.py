"""Writes docs/cli.md, the manual of the command line, from the commands, their options and their texts.

And docs/llamachat.1, the same as a man page. python tools/make_cli_docs.py [--check]: with --check it writes nothing,
and exits with 1 if a file is not up to date.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from roff import roff

from llamachat import __version__
from llamachat.cli.app import MEANINGS, make_program
from llamachat.cli.guide import COMMAND_PANELS, GUIDE, Example
from llamachat.cli.help import EVERYWHERE, GENERAL, Entry, arguments, command_panel, panels, summary
from llamachat.cli.settings.variables import VARIABLES
from llamachat.errors import ExitCode

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
MAN_PAGE = TARGET.with_name("llamachat.1")

HEAD = """# llamachat(1)

Made by `python tools/make_cli_docs.py` from the program itself; a test compares the two.

## Name

llamachat: chat with local GGUF language models, in a terminal and in scripts

## Synopsis

**llamachat** *COMMAND* [*OPTIONS*] [*ARGUMENTS*]

**llamachat** `--version` | `--help`

## Description

Each command has `--help` (or `-h`) with its usual options, and `--help-all`. Options may stand in any order;
`--name=value` and `--name value` are the same, as are `--ctx-size` and `--ctx_size`. `--no-name` undoes a switch
`--name`; the later one counts. An option that takes one value is given once. `--` ends the options.

Options of llama.cpp and Ollama that have an equivalent are accepted (`-hf`, `-sys`, `-cnv`, `--log-disable`). Those
that have no effect here are named on standard error (`--mlock`, `--no-mmap`, `-ngl`). Others are refused with the
option to use instead.

Standard output gets results and nothing else. Progress, remarks and errors go to standard error. An error is one line
that says what is wrong, where, and what to do.
"""

SETTINGS = """## Settings

Nearly every option is also a setting. In this order of precedence:

1. the command line;
2. the environment: the variable `LLAMACHAT_` with the setting's name in capitals, as `LLAMACHAT_CTX_SIZE=4096`.
   Switches take 1 and 0 (or true, yes, on, false, no, off). Options that may be given several times take a text or a
   JSON list of texts. An empty variable counts as unset;
3. for `run`, the head of the prompt that `--prompt` names;
4. the profile: the table `[profile.NAME]` of the configuration file, chosen with `--profile NAME` or
   `LLAMACHAT_PROFILE`;
5. the configuration file;
6. the default, which `--help` shows.

The configuration file is TOML. A setting has its option's name without `--` and with `_` for `-` (`-` is accepted,
too). It applies to every command that has the option and accepts the value. A relative path is relative to the file's
folder; so is the file of `model`, `model_draft`, `chat_template` and `prompt`, which may also be names.

    ctx_size = 4096
    temp = 0.7
    stop = ["END", "STOP"]

    [profile.code]
    temp = 0.2
    system = "Answer with code only."

    [profile.brief]
    base = "code"
    n_predict = 100

A profile may extend another: `base` names it, and its settings apply where the profile has none of its own.

An unknown name, and a value of the wrong type or out of bounds, is refused with the file and line or the variable, and
with the nearest name. A setting that conflicts with the command line (`json` in the file, `--grammar` typed) is
ignored; so is one that has no effect alone (`system` without a chat). A typed option without effect is refused.
`debug`, `profile`, `var`, `version` and `yes` cannot be set. `--help`, `--version`, `config path`, `config edit`,
`completion` and `doctor` also work with a broken file.
"""

FILES = """## Files

On Linux; `llamachat doctor` prints the folders of other systems.

| file or folder | contents |
| --- | --- |
| `~/.config/llamachat/config.toml` | the configuration file |
| `~/.config/llamachat/prompts/` | your prompts; always beside the configuration file |
| `~/.local/share/llamachat/chats/` | saved chats |
| `~/.local/share/llamachat/models/` | models that `llamachat pull` downloaded |
| `~/.local/state/llamachat/` | the history of inputs |
| `~/.cache/llamachat/` | compiled kernels; may be deleted at any time |
"""


def manual() -> str:
    """The whole text."""
    program: Any = make_program()
    return "\n".join(_lines(program)).rstrip() + "\n"


def _lines(program: Any) -> Iterator[str]:
    yield HEAD
    yield from _commands(program)
    yield from ["## Options of every command", ""]
    yield from _entries(panels(program)[GENERAL])
    printed: dict[str, tuple[str, Sequence[Entry]]] = {}
    for name in _ordered(program):
        yield from _command(name, program.commands[name], printed)
    yield SETTINGS
    yield from ["## Environment", "", "| variable | meaning |", "| --- | --- |"]
    yield from (f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())
    yield from [
        "| `LLAMACHAT_...` | any other: an option, see above |",
        "| `NO_COLOR` | not empty: no colour |",
        "| `CLICOLOR_FORCE`, `FORCE_COLOR` | not empty and not 0: colour, where `NO_COLOR` does not say otherwise |",
        "| `TERM` | `dumb`: no colour, nothing that moves |",
        "| `COLUMNS` | the width of the terminal |",
        "| `VISUAL`, `EDITOR` | the editor |",
        "",
    ]
    yield FILES
    yield from ["## Exit codes", "", "| code | meaning |", "| ---: | --- |"]
    yield from (f"| {int(code)} | {MEANINGS[code]} |" for code in ExitCode)


def _ordered(program: Any) -> list[str]:
    """The commands' names under their headings, those with a guide in its order."""
    names = [*(name for name in GUIDE if name in program.commands), *program.commands]
    return sorted(dict.fromkeys(names), key=lambda name: COMMAND_PANELS.index(command_panel(name)))


def _commands(program: Any) -> Iterator[str]:
    yield from ["## Commands", "", "| command | what it does |", "| --- | --- |"]
    yield from (f"| `{name}` | {summary(program.commands[name])} |" for name in _ordered(program))
    yield ""


def _command(name: str, command: Any, printed: dict[str, tuple[str, Sequence[Entry]]]) -> Iterator[str]:
    """The section of a command; a panel that another command has in the same words is only named."""
    yield from [f"## llamachat {name}", ""]
    yield from [_flat(" ".join([f"**llamachat {name}** [*OPTIONS*]", *map(_italic, arguments(command))])), ""]
    yield from _text(command.help)
    if name in GUIDE:
        yield from _examples(GUIDE[name].examples)
    for heading, entries in panels(command).items():
        if heading == EVERYWHERE:
            continue
        first, words = printed.setdefault(heading, (name, entries))
        if first != name and words == entries:
            yield from [f"**{heading}**: as of `{first}`.", ""]
        else:
            yield from [f"**{heading}**", ""]
            yield from _entries(entries)


def _italic(argument: str) -> str:
    """A metavariable; brackets and bars are not part of it."""
    return re.sub(r"[\w-]+", r"*\g<0>*", argument.replace("|", " | "))


def _entries(entries: Sequence[Entry]) -> Iterator[str]:
    for one in entries:
        setting = f" (`{one.setting}`)" if one.setting else ""
        yield _flat(f"- `{one.names}`{setting}: {one.said}", "  ")
    yield ""


def _examples(examples: Sequence[Example]) -> Iterator[str]:
    for example in examples:
        yield from [f"    # {example.meaning}", f"    {example.line}"]
    yield ""


def _text(text: str | None) -> Iterator[str]:
    """A docstring's paragraphs; those that keep their lines become code."""
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        if first.strip() == "\b":
            yield from (f"    {line.removeprefix('  ')}" for line in rest.splitlines())
        else:
            yield _flat(paragraph)
        yield ""


def _flat(text: str, indent: str = "") -> str:
    """The text in lines of 120 columns."""
    return textwrap.fill(" ".join(text.split()), 120, subsequent_indent=indent, break_on_hyphens=False)


def main() -> None:
    """Writes or checks the files."""
    text = manual()
    made = {TARGET: text, MAN_PAGE: roff(text, "llamachat", __version__)}
    for path, content in made.items():
        if "--check" not in sys.argv[1:]:
            path.write_text(content, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != content:
            sys.exit(f"{path} is not up to date: run python tools/make_cli_docs.py")


if __name__ == "__main__":
    main()
