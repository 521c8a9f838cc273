"""Calls that name the function between marks and give its arguments as JSON: Mistral since 2025, DeepSeek, gpt-oss."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llamachat.dialogue.thoughts import Markers
from llamachat.dialogue.tools.call import Call, call_of, json_at
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import NAME, Patterned, Trigger, tool_named

NAMED = f"(?P<name>{NAME})"
ONLY_KNOWN = r"(?=\s*\{)"


@dataclass(frozen=True, kw_only=True)
class Named(Patterned):
    """Marks with a name, then JSON. known_only: what begins so is a call only with the name of a tool."""

    known_only: bool = False

    def start(self, answer: str, at: int, tools: Sequence[Tool]) -> int:
        """Where the pattern is found, with the name of a tool where only that is a call."""
        for found in re.compile(self.opening, re.DOTALL).finditer(answer, at):
            if not self.known_only or tool_named(found["name"], tools) is not None:
                return found.start()
        return -1

    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """One call."""
        opened = self.opened(answer, start)
        arguments, end = json_at(answer, opened.end())
        return [call_of(opened["name"], arguments)], self.closed(answer, end)

    def triggers(self, tools: Sequence[Tool]) -> list[Trigger]:
        """After the marks with a tool's name: its arguments."""
        return [(self.opening.replace(NAMED, re.escape(tool.name)), tool.parameters) for tool in tools]


FORMATS = (
    Named(
        name="mistral-args",
        marks=("[TOOL_CALLS]", "[ARGS]"),
        opening=rf"\[TOOL_CALLS\]\s*{NAMED}\s*(?:\[CALL_ID\]\w*\s*)?\[ARGS\]",
        closing=r"\s*</s>",
    ),
    Named(
        name="deepseek-v3",
        begins=("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"),
        marks=("<｜tool▁call▁begin｜>", "```json"),
        opening=rf"(?:<｜tool▁calls▁begin｜>\s*)?<｜tool▁call▁begin｜>\w*<｜tool▁sep｜>{NAMED}\s*```json\s*",
        closing=r"\s*```(?:\s*<｜tool▁call▁end｜>)?(?:\s*<｜tool▁calls▁end｜>)?",
    ),
    Named(
        name="deepseek-v3.1",
        begins=("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"),
        marks=("<｜tool▁call▁begin｜>",),
        opening=rf"(?:<｜tool▁calls▁begin｜>\s*)?<｜tool▁call▁begin｜>{NAMED}<｜tool▁sep｜>\s*(?=\{{)",
        closing=r"(?:\s*<｜tool▁call▁end｜>)?(?:\s*<｜tool▁calls▁end｜>)?",
    ),
    Named(
        name="kimi-k2",
        begins=("<|tool_calls_section_begin|>", "<|tool_call_begin|>"),
        marks=("<|tool_call_argument_begin|>",),
        opening=(
            rf"(?:<\|tool_calls_section_begin\|>\s*)?<\|tool_call_begin\|>\s*(?:functions\.)?{NAMED}(?::\d+)?\s*"
            r"<\|tool_call_argument_begin\|>\s*"
        ),
        closing=r"(?:\s*<\|tool_call_end\|>)?(?:\s*<\|tool_calls_section_end\|>)?",
    ),
    Named(
        name="solar",
        begins=("<|tool_calls|>", "<|tool_call:begin|>"),
        marks=("<|tool_call:args|>",),
        opening=(
            r"(?:<\|tool_calls\|>\s*)?<\|tool_call:begin\|>\s*(?:\w+\s*)?"
            rf"<\|tool_call:name\|>{NAMED}<\|tool_call:args\|>"
        ),
        closing=r"(?:\s*<\|tool_call:end\|>)?(?:\s*<\|calls\|>)?",
        thought=Markers("<|think|>", "<|end|>"),
    ),
    Named(
        name="gpt-oss",
        begins=("<|channel|>commentary", " to=functions."),
        marks=("to=functions.", "<|channel|>"),
        opening=(
            r"(?:<\|start\|>assistant)?(?:<\|channel\|>(?:commentary|analysis))?\s?to=(?:functions\.)?"
            rf"{NAMED}\s*(?:<\|channel\|>(?:commentary|analysis)\s*)?"
            r"(?:<\|constrain\|>\s*)?(?:json)?<\|message\|>\s*(?=\{)"
        ),
        closing=r"\s*<\|call\|>",
        thought=Markers("<|channel|>analysis<|message|>", "<|end|>"),
    ),
    Named(
        name="function-json",
        marks=("<function=", "</function>"),
        opening=rf"(?:<\|python_tag\|>)?<function={NAMED}>{ONLY_KNOWN}",
        closing=r"\s*</function>",
    ),
    Named(
        name="functionary-3.2",
        begins=(">>>",),
        marks=(">>>",),
        opening=rf"(?:\A\s*(?:all\s*>>>)?|>>>){NAMED}\n{ONLY_KNOWN}",
        known_only=True,
    ),
)
