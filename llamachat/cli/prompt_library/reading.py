"""A prompt's file: a head of TOML between lines of `---`, and below it the text, in Jinja.

The head has `description`, the table `[variables]`, and settings of `run` by their names (`temp = 0.2`). Line numbers
in messages are those of the file: the head's lines and the text's are kept where they are, and the others emptied.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llamachat.cli.prompt_library.places import ENDING, prompt_paths
from llamachat.cli.settings.file import ConfigFile, parsed
from llamachat.errors import UsageError
from llamachat.files import read_again
from llamachat.relations import need_of

LARGEST_FILE = 4_000_000
FENCE = "---"
INPUT = "input"
OWN_KEYS = ("description", "variables")
VARIABLE_KEYS = frozenset({"description", "default"})
Value = str | int | float | bool


@dataclass(frozen=True)
class Variable:
    """A variable of a prompt; without a default (None) it must be given."""

    name: str
    description: str = ""
    default: Value | None = None


@dataclass(frozen=True)
class LibraryPrompt:
    """A prompt as it was read. body: the text, with empty lines in the place of the head."""

    name: str
    path: Path
    description: str
    variables: Mapping[str, Variable]
    settings: ConfigFile
    body: str

    @property
    def system(self) -> str | None:
        """The system prompt, which is Jinja as well."""
        return self.settings.table.get("system")


def open_prompt(name: str) -> LibraryPrompt:
    """The prompt of this name, or of a file: NAME.jinja, or any path with a slash in it.

    Raises UsageError if there is none, or if it is broken.
    """
    if name.endswith(ENDING) or os.sep in name:
        return read_prompt(Path(name))
    paths = prompt_paths()
    if name in paths:
        return read_prompt(paths[name])
    close = get_close_matches(name, paths, 1)
    hint = f"did you mean {close[0]}?" if close else "`llamachat prompts` lists them, and -p takes a text"
    raise UsageError(f"there is no prompt {name!r}; {hint}")


def read_prompt(path: Path) -> LibraryPrompt:
    """The prompt of a file. Raises UsageError with file, line and cause."""
    content = read_again(path, LARGEST_FILE, f"the prompt {path}")
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: not UTF-8 text (byte {content[error.start]:#04x})") from error
    end = _end_of_head(path, lines)
    head = parsed(path, "\n".join(["", *lines[1:end]]).encode())
    settings = replace(head, table={key: value for key, value in head.table.items() if key not in OWN_KEYS})
    _check_system(settings)
    body = "\n" * (end + 1) + "\n".join(lines[end + 1 :]) if end else "\n".join(lines)
    return LibraryPrompt(path.name.removesuffix(ENDING), path, _description(head), _variables(head), settings, body)


def _end_of_head(path: Path, lines: list[str]) -> int:
    """The index of the line that ends the head; 0 where there is no head."""
    if lines[0].rstrip() != FENCE:
        return 0
    end = next((index for index, line in enumerate(lines) if index and line.rstrip() == FENCE), None)
    if end is None:
        raise UsageError(f"{path}, line 1: the head that begins here has no second {FENCE} to end it")
    return end


def _description(head: ConfigFile) -> str:
    found = head.table.get("description", "")
    if not isinstance(found, str):
        raise UsageError(f"{head.place('description')}: description must be a text in quotes")
    return found


def _variables(head: ConfigFile) -> dict[str, Variable]:
    table = head.table.get("variables", {})
    if not isinstance(table, dict):
        raise UsageError(f"{head.place('variables')}: variables are a table: write [variables] above them")
    return {name: _variable(head, name, value) for name, value in table.items()}


def _variable(head: ConfigFile, name: str, value: Any) -> Variable:
    place = head.place("variables", name)
    if not name.isidentifier() or name == INPUT:
        raise UsageError(f"{place}: {name!r} cannot be a variable; names are letters, digits and _, and not {INPUT!r}")
    known = value if isinstance(value, dict) else {"default": value}
    default, description = known.get("default"), known.get("description", "")
    if known.keys() - VARIABLE_KEYS or not isinstance(description, str) or not isinstance(default, Value | None):
        raise UsageError(f'{place}: {name} must be a default, or {{ description = "...", default = "..." }}')
    return Variable(name, description, default)


def _check_system(settings: ConfigFile) -> None:
    if "system" in settings.table and not need_of("system").met(settings.table):
        raise UsageError(f'{settings.place("system")}: system is part of a chat: say template = "chat", too')
