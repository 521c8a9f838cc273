"""Calls that are JSON objects with a name and arguments, one or a list of them, between marks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from llamachat.dialogue.tools.call import Call, UnreadableCall, call_of, json_at
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import Patterned, Trigger, past

OPENED = r"\s*(?=[{\[])"
"""A value follows: a mark alone is text."""


@dataclass(frozen=True, kw_only=True)
class JsonValues(Patterned):
    """Marks around JSON. called, arguments: the keys of an object; keyed: it is {name: arguments} instead.

    in_list: the grammar wants a list. before, after: further keys that models write, with texts.
    """

    called: str = "name"
    arguments: str = "arguments"
    keyed: bool = False
    in_list: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """The calls of one or more values up to the closing mark. Raises UnreadableCall."""
        at, calls = self.opened(answer, start).end(), list[Call]()
        while True:
            value, at = json_at(answer, at)
            if value is None and not calls:
                raise UnreadableCall("a call without a name: what follows its mark is no JSON")
            calls += self.calls_of(value)
            after = past(answer, at, r"[\s,;]*")
            if answer[after : after + 1] != "{":
                return calls, self.closed(answer, at)
            at = after

    def calls_of(self, value: Any) -> list[Call]:
        """The calls of a value. Raises UnreadableCall."""
        entries = value if isinstance(value, list) else [value]
        return [self._call(entry) for entry in entries]

    def _call(self, entry: Any) -> Call:
        if not isinstance(entry, dict):
            raise UnreadableCall("a call without a name")
        inner = entry.get("function")
        entry = inner if isinstance(inner, dict) else entry
        if self.keyed and len(entry) == 1:
            (name,) = entry
            return call_of(name, entry[name])
        name = entry.get(self.called, entry.get("name"))
        if not isinstance(name, str):
            raise UnreadableCall("a call without a name")
        given: Any = next((entry[key] for key in (self.arguments, "arguments", "parameters") if key in entry), {})
        return call_of(name, {} if given is None else given)

    def triggers(self, tools: Sequence[Tool]) -> list[Trigger]:
        """After the mark: calls of the tools."""
        calls: dict[str, Any] = {"anyOf": [schema for tool in tools for schema in self._schemas(tool)]}
        schema = {"type": "array", "items": calls, "minItems": 1} if self.in_list else calls
        return [(self.opening.replace(r"[{\[]", r"\[" if self.in_list else r"\{"), schema)]

    def _schemas(self, tool: Tool) -> Iterator[dict[str, Any]]:
        if self.keyed:
            yield _object({tool.name: _document(tool)})
            return
        text = {"type": "string", "maxLength": 64}
        properties = {
            **dict.fromkeys(self.before, text),
            self.called: {"const": tool.name},
            self.arguments: _document(tool),
            **dict.fromkeys(self.after, text),
        }
        yield _object(properties, [self.called, self.arguments])


def _document(tool: Tool) -> dict[str, Any]:
    """A tool's parameters as a document of their own, in which their references lead to their own definitions."""
    return {"$id": f"tool:{quote(tool.name, safe='')}", **tool.parameters}


def _object(properties: dict[str, Any], required: Sequence[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


FORMATS = (
    JsonValues(
        name="tool_calls",
        marks=("<tool_calls>",),
        opening=rf"<tool_calls>{OPENED}",
        closing=r"\s*</tool_calls>",
        in_list=True,
        after=("id",),
    ),
    JsonValues(name="hermes", marks=("<tool_call>",), opening=rf"<tool_call>{OPENED}", closing=r"\s*</tool_call>"),
    JsonValues(
        name="mistral",
        marks=("[TOOL_CALLS]",),
        opening=rf"\[TOOL_CALLS\]{OPENED}",
        closing=r"\s*</s>",
        in_list=True,
        after=("id",),
    ),
    JsonValues(
        name="nemotron-v2",
        marks=("<TOOLCALL>",),
        opening=rf"<TOOLCALL>{OPENED}",
        closing=r"\s*</TOOLCALL>",
        in_list=True,
    ),
    JsonValues(
        name="granite",
        marks=("<|tool_call|>",),
        opening=rf"<\|tool_call\|>{OPENED}",
        closing=r"\s*<\|/tool_call\|>",
        in_list=True,
    ),
    JsonValues(name="gigachat", marks=("<|function_call|>",), opening=rf"<\|function_call\|>{OPENED}"),
    JsonValues(
        name="gigachat-3",
        marks=("function call<|role_sep|>",),
        opening=rf"(?:<\|message_sep\|>\s*)?function call<\|role_sep\|>{OPENED}",
    ),
    JsonValues(
        name="apertus",
        marks=("<|tools_prefix|>",),
        opening=rf"<\|tools_prefix\|>{OPENED}",
        closing=r"\s*<\|tools_suffix\|>",
        keyed=True,
        in_list=True,
    ),
    JsonValues(
        name="command-r7b",
        marks=("<|START_ACTION|>",),
        opening=rf"<\|START_ACTION\|>{OPENED}",
        closing=r"\s*<\|END_ACTION\|>",
        called="tool_name",
        arguments="parameters",
        in_list=True,
        before=("tool_call_id",),
    ),
    JsonValues(
        name="command-r",
        marks=("Action:", "tool_name"),
        opening=rf"Action:\s*```json{OPENED}",
        closing=r"\s*```",
        called="tool_name",
        arguments="parameters",
        in_list=True,
    ),
    JsonValues(
        name="internlm",
        marks=("<|action_start|>", "<|plugin|>"),
        opening=rf"<\|action_start\|>\s*<\|plugin\|>{OPENED}",
        closing=r"\s*<\|action_end\|>",
        arguments="parameters",
    ),
    JsonValues(name="functools", marks=("functools[",), opening=rf"functools{OPENED}", in_list=True),
)
