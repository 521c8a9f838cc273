"""How models write a call of a tool: Hermes and Qwen, Mistral old and new, Llama 3, and plain JSON.

Calls are read from the answer with its control tokens spelled out. A format is chosen by what the chat template says.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.terminal.tools.definition import Tool

_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Call:
    """A call that a model has written."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """An answer, read: what was said besides, and the calls. problem: what cannot be read as a call, if anything."""

    text: str
    calls: tuple[Call, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class CallFormat:
    """One way to write calls.

    in_template: all of these stand in the chat templates that use it. mark: after it begins what `schema` describes;
    at_start: only at the beginning of an answer. pieces: every call's JSON value in an answer, with the span of text
    that belongs to it. arguments: what its arguments are called.
    """

    name: str
    in_template: tuple[str, ...]
    mark: str
    pieces: Callable[[str], "Iterator[_Piece]"]
    arguments: str = "arguments"
    at_start: bool = False
    in_list: bool = False

    def schema(self, tools: Sequence[Tool]) -> dict[str, Any]:
        """The JSON schema of what follows the mark."""
        calls = {"anyOf": [self._call_schema(tool) for tool in tools]}
        return {"type": "array", "items": calls, "minItems": 1} if self.in_list else calls

    def read(self, answer: str) -> Reading:
        """The calls of an answer; all of it is text where there is none."""
        rest, calls, at = [], [], 0
        for piece in self.pieces(answer):
            rest.append(answer[at : piece.start])
            at = piece.end
            found, problem = self._calls(piece.value)
            if problem:
                return Reading(answer, (), problem)
            calls += found
        if not calls:
            return Reading(answer)
        return Reading("".join([*rest, answer[at:]]).strip(), tuple(calls))

    def _call_schema(self, tool: Tool) -> dict[str, Any]:
        properties = {"name": {"const": tool.name}, self.arguments: tool.parameters}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def _calls(self, value: Any) -> tuple[list[Call], str]:
        entries = value if isinstance(value, list) else [value]
        calls = []
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                return [], "a call without a name"
            arguments = entry.get(self.arguments, entry.get("arguments", entry.get("parameters", {})))
            if isinstance(arguments, str):
                arguments = _json(arguments)
            if not isinstance(arguments, dict):
                return [], f"a call of {entry['name']} whose arguments are no JSON object"
            calls.append(Call(entry["name"], arguments))
        return calls, ""


@dataclass(frozen=True)
class _Piece:
    """A JSON value (None where it is not JSON) and the part of the answer that it takes."""

    value: Any
    start: int
    end: int


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _json_at(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a place, and where it ends; (None, the end) where there is none."""
    while at < len(text) and text[at].isspace():
        at += 1
    try:
        return _DECODER.raw_decode(text, at)
    except ValueError:
        return None, len(text)


def _tagged(answer: str) -> Iterator[_Piece]:
    """`<tool_call>` JSON `</tool_call>`, any number of times; the last tag may be missing. A tag alone is text."""
    at = 0
    while found := re.compile(r"<tool_call>\s*(?=[{\[])").search(answer, at):
        value, end = _json_at(answer, found.end())
        at = _past(answer, end, r"\s*</tool_call>")
        yield _Piece(value, found.start(), at)


def _listed(answer: str) -> Iterator[_Piece]:
    """`[TOOL_CALLS]` and a JSON list."""
    mark = "[TOOL_CALLS]"
    if (start := answer.find(mark)) >= 0:
        value, end = _json_at(answer, start + len(mark))
        yield _Piece(value, start, _past(answer, end, r"\s*</s>"))


def _named(answer: str) -> Iterator[_Piece]:
    """`[TOOL_CALLS]` name `[ARGS]` JSON, any number of times."""
    at = 0
    while found := re.compile(r"\[TOOL_CALLS\]\s*([\w.-]+)\s*(?:\[CALL_ID\]\w+)?\s*\[ARGS\]").search(answer, at):
        arguments, at = _json_at(answer, found.end())
        at = _past(answer, at, r"\s*</s>")
        yield _Piece({"name": found[1], "arguments": arguments}, found.start(), at)


def _whole(answer: str) -> Iterator[_Piece]:
    """The whole answer is a JSON object or list of calls; a control token may stand before it."""
    found = re.compile(r"\s*(?:<\|python_tag\|>)?\s*(?:```(?:json)?\s*)?(?=[{\[])").match(answer)
    if found is None:
        return
    value, end = _json_at(answer, found.end())
    end = _past(answer, end, r"\s*(?:```)?\s*(?:<\|e\w+_id\|>)?\s*")
    if end == len(answer) and _looks_like_calls(value):
        yield _Piece(value, 0, end)


def _looks_like_calls(value: Any) -> bool:
    entries = value if isinstance(value, list) else [value]
    return bool(entries) and all(
        isinstance(one, dict) and "name" in one and bool({"arguments", "parameters"} & set(one)) for one in entries
    )


def _past(answer: str, at: int, pattern: str) -> int:
    found = re.compile(pattern).match(answer, at)
    return found.end() if found else at


FORMATS = (
    CallFormat("hermes", ("<tool_call>",), r"<tool_call>\s*(?=\{)", _tagged),
    CallFormat("mistral-args", ("[TOOL_CALLS]", "[ARGS]"), r"\[TOOL_CALLS\]\s*[\w.-]+\s*\[ARGS\]", _named),
    CallFormat("mistral", ("[TOOL_CALLS]",), r"\[TOOL_CALLS\]\s*(?=\[)", _listed, in_list=True),
    CallFormat(
        "llama3", ('"parameters": ',), r"\s*(?:<\|python_tag\|>)?\s*(?=\{)", _whole, "parameters", at_start=True
    ),
    CallFormat("json", (), r"\s*(?=\{)", _whole, at_start=True),
)


def format_of(template: str) -> CallFormat:
    """The first format whose marks are all in the template; plain JSON where there is none."""
    return next(one for one in FORMATS if all(mark in template for mark in one.in_template))


def supports_tools(template: str) -> bool:
    """Whether a template says something of tools."""
    return re.search(r"\btools\b", template) is not None
