"""Answers that are nothing but a call: Llama 3, and models that were asked to answer in JSON."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.dialogue.tools.call import Call, UnreadableCall, json_at
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import Trigger, past
from llamachat.dialogue.tools.formats.json_values import JsonValues

GIVEN = frozenset({"arguments", "parameters"})

ENDS = r"\s*(?:```)?\s*(?:<\|e\w+_id\|>)?\s*"


@dataclass(frozen=True, kw_only=True)
class WholeAnswer(JsonValues):
    """The whole answer is JSON that says itself that it is a call: a name first, or after a type."""

    at_start: bool = True
    opening: str = r"\s*(?:<\|python_tag\|>\s*)?(?:```(?:json)?\s*)?(?=[{\[])"

    def start(self, answer: str, at: int, tools: Sequence[Tool]) -> int:
        """The place itself, where nothing but calls follows it."""
        opened = re.compile(self.opening).match(answer, at)
        if opened is None:
            return -1
        try:
            values, end = _values(answer, opened.end())
        except UnreadableCall:
            return at if re.compile(r"\[*\s*" + _says_call("")).match(answer, opened.end()) else -1
        is_all = end == len(answer)
        return at if is_all and values and all(self._is_call(value) for value in values) else -1

    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """All of it."""
        values, end = _values(answer, self.opened(answer, start).end())
        return [call for value in values for call in self.calls_of(value)], end

    def triggers(self, tools: Sequence[Tool]) -> list[Trigger]:
        """After the beginning of an object that names a tool."""
        schemas = []
        for tool in tools:
            for schema in self._schemas(tool):
                typed = {"type": {"const": "function"}, **schema["properties"]}
                schemas.append({**schema, "properties": typed})
        names = "|".join(re.escape(tool.name) for tool in tools)
        opening = self.opening.replace(r"(?=[{\[])", "")
        return [(rf"{opening}(?={_says_call(names)})", {"anyOf": schemas})]

    def _is_call(self, value: Any) -> bool:
        entries = value if isinstance(value, list) else [value]
        return bool(entries) and all(
            isinstance(one, dict) and self.called in one and not GIVEN.isdisjoint(one) for one in entries
        )


def _says_call(names: str) -> str:
    """The beginning of an object that says it is a call; names: of one of these tools."""
    named = f'"(?:{names})"' if names else ""
    return rf'\{{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*{named}'


def _values(answer: str, at: int) -> tuple[list[Any], int]:
    """JSON values one after another, and where they end, with what may stand after them."""
    values = []
    while True:
        value, at = json_at(answer, at)
        if value is None:
            return [], len(answer)
        values.append(value)
        after = past(answer, at, r"[\s;,]*")
        if answer[after : after + 1] not in ("{", "["):
            return values, past(answer, at, ENDS)
        at = after


FORMATS = (
    WholeAnswer(
        name="llama3",
        begins=("{", "[", "```", "<|python_tag|>"),
        marks=('"name"', '"parameters"'),
        arguments="parameters",
    ),
    WholeAnswer(name="json", begins=("{", "[", "```"), marks=('"name"', '"arguments"')),
)
