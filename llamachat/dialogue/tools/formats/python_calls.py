"""Calls as Python writes them: LFM2, Llama 4, Gemma's tool_code, Llama 3's `name.call(...)`."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.dialogue.tools.call import Call, UnreadableCall, call_of
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import Patterned, tool_named

WORDS = {"true": True, "false": False, "null": None}
"""JSON's, which some models write within Python."""


@dataclass(frozen=True, kw_only=True)
class PythonCalls(Patterned):
    """A list of calls, or one, between marks. known_only: they are calls only where all have names of tools."""

    known_only: bool = False

    def start(self, answer: str, at: int, tools: Sequence[Tool]) -> int:
        """Where the marks are found."""
        start = super().start(answer, at, tools)
        if start < 0 or not self.known_only:
            return start
        try:
            calls, end = self.take(answer, start, tools)
        except UnreadableCall:
            return -1
        return start if all(tool_named(call.name, tools) for call in calls) and not answer[end:].strip() else -1

    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """The calls up to the closing mark."""
        begin = self.opened(answer, start).end()
        closed = re.compile(self.closing, re.DOTALL).search(answer, begin)
        end, after = (closed.start(), closed.end()) if closed else (len(answer), len(answer))
        return calls_of(answer[begin:end]), after


def calls_of(text: str) -> list[Call]:
    """The calls that Python source spells, whose arguments are literals with names. Raises UnreadableCall."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        return [_call(node) for node in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UnreadableCall("a call whose arguments cannot be read") from None


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError
    name = ast.unparse(node.func)
    arguments = {one.arg: _value(one.value) for one in node.keywords if one.arg is not None}
    if len(arguments) != len(node.keywords):
        raise ValueError
    return call_of(name.removesuffix(".call"), arguments)


def _value(node: ast.expr) -> Any:
    """A literal. Raises ValueError for anything else."""
    if isinstance(node, ast.Name) and node.id in WORDS:
        return WORDS[node.id]
    if isinstance(node, ast.Dict):
        keys = [_value(key) for key in node.keys if key is not None]
        if len(keys) != len(node.values) or not all(isinstance(key, str) for key in keys):
            raise ValueError
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(one) for one in node.elts]
    value = ast.literal_eval(node)
    if not isinstance(value, str | int | float | bool | None):
        raise ValueError
    return value


FORMATS = (
    PythonCalls(
        name="lfm2",
        begins=("<|tool_call_start|>",),
        marks=("<|tool_list_start|>",),
        opening=r"<\|tool_call_start\|>\s*(?=\[)",
        closing=r"<\|tool_call_end\|>",
    ),
    PythonCalls(name="tool-code", marks=("```tool_code",), opening=r"```tool_code\s*", closing=r"```"),
    PythonCalls(
        name="python-tag",
        marks=("<|python_tag|>", ".call("),
        opening=r"<\|python_tag\|>(?=[\w.-]+\.call\()",
        closing=r"(?:<\|e\w+_id\|>|\Z)",
    ),
    PythonCalls(
        name="llama4",
        begins=("[", "<|python_start|>"),
        marks=("<|python_start|>",),
        at_start=True,
        known_only=True,
        opening=r"\s*(?:<\|python_start\|>\s*)?(?=\[\w)",
        closing=r"(?:<\|python_end\|>\s*)?(?:<\|e\w+\|>|\Z)",
    ),
)
