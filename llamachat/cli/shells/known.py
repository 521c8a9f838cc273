"""What a completion script knows of the command line: commands, their options, and what follows an option."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.cli.help import HELP, entry, summary
from llamachat.cli.settings.values import Parameter, choices, kind

DYNAMIC = {
    "--chat-template": "templates",
    "--model": "models",
    "--model-draft": "models",
    "--profile": "profiles",
    "--session": "sessions",
    "models name": "models",
    "prompts name": "prompts",
    "pull source": "sources",
    "run --prompt": "prompts",
    "sessions words": "sessions",
    "show model": "models",
    "templates name": "templates",
}
"""What the values of options, in all commands or in one, and of commands' arguments are: a kind of
`cli/candidates.py`; files come with it.
"""

ONLY = frozenset({"profiles", "prompts", "sessions", "sources"})
"""Kinds beside which files are not offered."""

LONGEST = 60
"""Columns of an explanation."""


@dataclass(frozen=True)
class Values:
    """What may stand where a value does: words, the kind that is asked of the program ("" for none), files."""

    words: Sequence[str] = ()
    kind: str = ""
    files: bool = False


@dataclass(frozen=True)
class KnownOption:
    """An option's spellings and explanation; `values` None: it is a switch."""

    names: Sequence[str]
    meaning: str
    values: Values | None


@dataclass(frozen=True)
class KnownCommand:
    """A command with its options, and what may stand for any of its arguments."""

    name: str
    meaning: str
    options: Sequence[KnownOption]
    arguments: Values


def known_commands(commands: Mapping[str, Any]) -> list[KnownCommand]:
    """What there is to know of the commands."""
    return [_command(name, command) for name, command in commands.items()]


def program_options(program: Any) -> list[KnownOption]:
    """The options before a command's name."""
    return _options(program)


def _command(name: str, command: Any) -> KnownCommand:
    arguments = [_values(p, f"{name} {p.name}") for p in command.params if p.param_type_name == "argument"]
    together = Values(
        words=[word for one in arguments for word in one.words],
        kind=next((one.kind for one in arguments if one.kind), ""),
        files=any(one.files for one in arguments),
    )
    return KnownCommand(name, _short(summary(command)), _options(command), together)


def _options(command: Any) -> list[KnownOption]:
    shown = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    helps = [KnownOption(tuple(names.split(", ")), _short(text), None) for names, text in HELP]
    return [*(KnownOption(_names(p), _short(entry(p).text), _of_option(command, p)) for p in shown), *helps]


def _names(option: Parameter) -> tuple[str, ...]:
    return (*option.opts, *(option.secondary_opts if option.default else ()))


def _of_option(command: Any, option: Parameter) -> Values | None:
    if kind(option) == "switch":
        return None
    keys = [key for name in option.opts for key in (f"{command.name} {name}", name)]
    return _values(option, next((key for key in keys if key in DYNAMIC), ""))


def _values(parameter: Parameter, key: str) -> Values:
    if words := choices(parameter):
        return Values(words=words)
    asked = DYNAMIC.get(key, "")
    return Values(kind=asked, files=kind(parameter) == "path" or (asked != "" and asked not in ONLY))


def _short(text: str) -> str:
    """The first sentence, in one short line."""
    line = " ".join(text.split())
    first = line.partition(". ")[0].rstrip(".")
    return first if len(first) <= LONGEST else first[: LONGEST - 3].rstrip() + "..."
