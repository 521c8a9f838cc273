"""Calls with a tag for each argument: Qwen3-Coder, Nemotron, GLM, DeepSeek since 3.2, MiniMax.

An argument is text between tags. What is of no text's type in the tool's schema is read as JSON, or as Python wrote it.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.dialogue.tools.call import DEEPEST, Call, UnreadableCall, call_of, depth_of, json_of
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import NAME, Patterned, tool_named

NAMED = f"(?P<name>{NAME})"
TAG = r"(?P<tag>:[\w-]+)?"
"""What some models write behind the names of all their tags."""


@dataclass(frozen=True, kw_only=True)
class Tagged(Patterned):
    """Marks with a name, then tags with `key`, `value` and perhaps `is_text`, then the closing mark.

    argument: the pattern of one; `{opened}` in it and in `closing` stands for the group `tag` of the opening.
    """

    argument: str

    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """One call. Raises UnreadableCall where its end is missing."""
        opened = self.opened(answer, start)
        tag = re.escape(opened.groupdict().get("tag") or "")
        name, at = opened["name"], opened.end()
        argument = re.compile(self.argument.replace("{opened}", tag), re.DOTALL)
        closing = re.compile(self.closing.replace("{opened}", tag), re.DOTALL)
        types, arguments = _types_of(name, tools), dict[str, Any]()
        while found := argument.match(answer, at):
            key = found["key"].strip()
            arguments[key] = _value(found, types.get(key))
            at = found.end()
        closed = closing.match(answer, at)
        if closed is None:
            raise UnreadableCall(f"a call of {name} whose arguments cannot be read")
        return [call_of(name, arguments)], closed.end()


def _types_of(name: str, tools: Sequence[Tool]) -> dict[str, Any]:
    """The schemas of a tool's arguments."""
    tool = tool_named(name, tools)
    properties = tool.parameters.get("properties") if tool is not None else None
    return properties if isinstance(properties, dict) else {}


def _value(found: re.Match[str], schema: Any) -> Any:
    """An argument's value, as its tag and the tool's schema say."""
    text, is_text = found["value"], found.groupdict().get("is_text")
    if is_text is not None:
        return text if is_text in ("true", "string") else _literal(text)
    wanted = _wanted(schema)
    if wanted == {"string"}:
        return text
    value = _literal(text)
    if "string" in wanted and ((value is None and "null" not in wanted) or isinstance(value, str)):
        return text
    return value


def _wanted(schema: Any) -> set[str]:
    """The types that a schema admits; all where it says nothing of them."""
    if not isinstance(schema, dict):
        return {"string", "any"}
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return {kinds}
    if isinstance(kinds, list):
        return {kind for kind in kinds if isinstance(kind, str)}
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
        return {"string"}
    branches = [one for key in ("anyOf", "oneOf") for one in schema.get(key) or ()]
    return {kind for branch in branches for kind in _wanted(branch)} or {"string", "any"}


def _literal(text: str) -> Any:
    """The value of a JSON text, or of a Python literal, which some templates print; else the text itself."""
    value = json_of(text)
    if value is not None or text.strip() == "null":
        return value
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    plain = isinstance(value, dict | list | bool | int | float | None) and depth_of(value) <= DEEPEST
    return value if plain else text


_SEP = r"<\|sep\|>"

FORMATS = (
    Tagged(
        name="function-tags",
        begins=("<tool_call>", "<seed:tool_call>", "<function="),
        marks=("<function=", "<parameter="),
        opening=rf"(?:<(?:seed:)?tool_call>\s*)?<function={NAMED}>",
        argument=(
            r"\s*<parameter=(?P<key>[^>\n]+)>(?P<line>\n)?(?P<value>.*?)(?(line)\n?|)</parameter>"
            r"(?=\s*(?:<parameter=|</function>|</(?:seed:)?tool_call>))"
        ),
        closing=r"\s*</function>(?:\s*</(?:seed:)?tool_call>)?",
    ),
    Tagged(
        name="arg-keys",
        begins=("<tool_call",),
        marks=("<arg_key", "<arg_value"),
        opening=(
            rf"(?:<tool_calls(?::[\w-]+)?>\s*)?<tool_call{TAG}>\s*{NAMED}\s*(?:<tool_sep(?::[\w-]+)?>\s*)?"
            r"(?=<arg_key|</tool_call)"
        ),
        argument=(
            r"\s*<arg_key{opened}>(?P<key>[^<]*)</arg_key{opened}>\s*<arg_value{opened}>(?P<value>.*?)"
            r"</arg_value{opened}>(?=\s*(?:<arg_key{opened}>|</tool_call{opened}>))"
        ),
        closing=r"\s*</tool_call{opened}>(?:\s*</tool_calls{opened}>)?",
    ),
    Tagged(
        name="invoke",
        begins=("<invoke name=", "<function_calls>", "<minimax:tool_call>", "<｜DSML｜", "<atem:"),
        marks=("invoke name=", "parameter name="),
        opening=(
            r"(?:\s?to=[\w.-]+<\|message\|>)?(?:<[^\s<>]*(?:function_calls|tool_calls|tool_call)>\s*)?"
            rf"<(?P<tag>[^\s<>]*?)invoke name=\"{NAMED}\">"
        ),
        argument=(
            r"\s*<{opened}parameter name=\"(?P<key>[^\"]*)\"(?: string=\"(?P<is_text>\w+)\")?>(?P<value>.*?)"
            r"</{opened}parameter>(?=\s*(?:<{opened}parameter|</{opened}invoke))"
        ),
        closing=r"\s*</{opened}invoke>(?:\s*</[^\s<>]*(?:function_calls|tool_calls|tool_call)>)?",
    ),
    Tagged(
        name="params",
        marks=("<function name=", "<param name="),
        opening=rf"<function name=\"{NAMED}\">",
        argument=(
            r"\s*<param name=\"(?P<key>[^\"]*)\">(?:<!\[CDATA\[)?(?P<value>.*?)(?:\]\]>)?</param>"
            r"(?=\s*(?:<param name=|</function>))"
        ),
        closing=r"\s*</function>",
    ),
    Tagged(
        name="kimi-k3",
        begins=("<|open|>tools", "<|open|>call"),
        marks=("argument", "call", "tools"),
        opening=rf"(?:<\|open\|>tools{_SEP})?<\|open\|>call tool=\"{NAMED}\"(?: index=\"\d+\")?{_SEP}",
        argument=(
            rf"<\|open\|>argument key=\"(?P<key>[^\"]*)\"(?: type=\"(?P<is_text>\w+)\")?{_SEP}(?P<value>.*?)"
            rf"<\|close\|>argument{_SEP}(?=<\|open\|>argument|<\|close\|>call)"
        ),
        closing=rf"<\|close\|>call{_SEP}(?:<\|close\|>tools{_SEP})?",
    ),
)
