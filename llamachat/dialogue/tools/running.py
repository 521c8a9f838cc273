"""A call is run: its command gets the arguments, and what it says goes back to the model."""

import json
import re
from collections.abc import Sequence
from typing import Any

from llamachat.dialogue.tools.call import Call
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.process import run_bounded

PATIENCE_S = 60
LONGEST_RESULT = 16_000
"""Characters of a result that the model reads."""


def words_of(tool: Tool, call: Call) -> list[str]:
    """The command with the arguments in their places; those that were not given are empty. No shell reads it."""
    declared = tool.parameters.get("properties")
    absent = dict.fromkeys(declared if isinstance(declared, dict) else (), "")
    return [_filled(word, {**absent, **call.arguments}) for word in tool.command]


def missing(tool: Tool, call: Call) -> list[str]:
    """The arguments that a tool needs and a call does not have."""
    required = tool.parameters.get("required")
    names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    return [name for name in names if name not in call.arguments]


def run_call(call: Call, tools: Sequence[Tool]) -> str:
    """What the model reads of a call: the command's output, or why there is none."""
    tool = next((one for one in tools if one.name == call.name), None)
    if tool is None:
        return f"error: there is no tool named {call.name}"
    if not tool.command:
        return f"error: {call.name} cannot be run here"
    if absent := missing(tool, call):
        return f"error: {call.name} needs {', '.join(absent)}"
    given = json.dumps(call.arguments, ensure_ascii=False).encode("utf-8", "replace")
    try:
        done = run_bounded(words_of(tool, call), given, PATIENCE_S)
    except TimeoutError:
        return f"error: {call.name} took longer than {PATIENCE_S} s and was stopped"
    except (OSError, ValueError) as error:
        return f"error: {tool.command[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        complaint = done.stderr.decode("utf-8", "replace").strip()
        said = f"error: {call.name} ended with {done.returncode}: {complaint or said}"
    return said if len(said) <= LONGEST_RESULT else f"{said[:LONGEST_RESULT]}\n[cut: {len(said)} characters in all]"


def _filled(word: str, arguments: dict[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        given = arguments.get(match[1], match[0])
        return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)

    return re.sub(r"\{(\w+)\}", value, word)
