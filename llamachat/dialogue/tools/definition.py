"""Tools as a file describes them: a JSON list of functions with JSON schemas, some with a command that does the work.

Each entry is {"name", "description", "parameters", "command"}, or OpenAI's {"type": "function", "function": {...}} with
"command" beside it. `command` is a list of words; `{argument}` in a word is replaced by that argument's value, and all
arguments are on its standard input as JSON.
"""

import json
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llamachat.errors import UsageError
from llamachat.files import read_at_most

LARGEST_FILE = 4_000_000
KEYS = ("name", "description", "parameters", "strict")
NO_PARAMETERS = {"type": "object", "properties": {}}


@dataclass(frozen=True)
class Tool:
    """A function. parameters: the JSON schema of its arguments. command: words to run; () where nobody runs it."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: dict(NO_PARAMETERS))
    command: tuple[str, ...] = ()

    @property
    def described(self) -> dict[str, Any]:
        """As chat templates want it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


def read_tools(path: Path, name: str = "") -> tuple[Tool, ...]:
    """The tools of a file. Raises UsageError that says what is wrong with which of them. name: of the file, there."""
    file = name or str(path)
    content = read_at_most(path, LARGEST_FILE, file)
    try:
        entries = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{file}: a JSON list of tools is wanted, with one at least")
    tools = tuple(_tool(entry, f"{file}: tool {number}") for number, entry in enumerate(entries, 1))
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{file}: there are two tools named {name!r}")
    return tools


def _check_keys(entry: dict[str, Any], known: tuple[str, ...], place: str) -> None:
    """Raises UsageError for a key that would be ignored: it may be a misspelt one."""
    for key in entry:
        if key not in known:
            close = get_close_matches(key, known, 1)
            raise UsageError(f"{place}: unknown key {key!r}" + (f"; did you mean {close[0]}?" if close else ""))


def _tool(entry: Any, place: str) -> Tool:
    if not isinstance(entry, dict):
        raise UsageError(f"{place} must be an object with a name, a description and parameters")
    _check_keys(entry, ("type", "function", "command") if "function" in entry else (*KEYS, "type", "command"), place)
    function = entry.get("function", entry)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise UsageError(f"{place} has no name")
    parameters = function.get("parameters", NO_PARAMETERS)
    if not isinstance(parameters, dict):
        raise UsageError(f"{place} ({function['name']}): parameters must be a JSON schema")
    command = entry.get("command", function.get("command", []))
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise UsageError(f'{place} ({function["name"]}): command must be a list of words, as ["date", "+%H:%M"]')
    return Tool(function["name"], str(function.get("description") or ""), parameters, tuple(command))
