"""What a format of calls answers for: where a call begins in an answer, what it says, and what it must be."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.dialogue.thoughts import Markers
from llamachat.dialogue.tools.call import Call
from llamachat.dialogue.tools.definition import Tool

NAME = r"[^\s<>\[\]{}()|\"',]{1,128}?"
"""A function's name, as little as the pattern after it allows. No pattern has two repetitions beside each other that
take the same characters, and none of a search begins with one: they would try every way to share out a long run."""

Trigger = tuple[str, dict[str, Any]]
"""A pattern of an answer without groups, and the JSON schema of what follows it."""


@dataclass(frozen=True, kw_only=True)
class CallFormat(ABC):
    """One way to write calls.

    marks: all of these stand in chat templates that use it. begins: with one of these texts a call begins; the first
    mark, where none are given. at_start: calls are the whole of an answer, after its thoughts. thought: how the format
    itself marks thoughts, where a template does not say so.
    """

    name: str
    marks: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    at_start: bool = False
    thought: Markers | None = None

    def __post_init__(self) -> None:
        if not self.begins:
            object.__setattr__(self, "begins", self.marks[:1])

    @abstractmethod
    def start(self, answer: str, at: int, tools: Sequence[Tool]) -> int:
        """Where the next call begins from `at` on; -1 where there is none. at_start: only what begins at `at`."""

    @abstractmethod
    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """The calls that begin at a place, and where the text after them begins. Raises UnreadableCall."""

    def triggers(self, tools: Sequence[Tool]) -> list[Trigger]:
        """After which texts a grammar holds, and which; none where calls are free text."""
        return []

    def stands_in(self, template: str) -> bool:
        """Whether a chat template seems to use it. Quotes may be escaped in it."""
        plain = template.replace('\\"', '"').replace("\\n", "\n")
        return bool(self.marks) and all(mark in plain for mark in self.marks)


@dataclass(frozen=True, kw_only=True)
class Patterned(CallFormat):
    """A format whose calls begin with a pattern. closing: what may stand after a call and belongs to it."""

    opening: str
    closing: str = ""

    def start(self, answer: str, at: int, tools: Sequence[Tool]) -> int:
        """Where the pattern is found."""
        pattern = re.compile(self.opening, re.DOTALL)
        found = pattern.match(answer, at) if self.at_start else pattern.search(answer, at)
        return found.start() if found else -1

    def opened(self, answer: str, start: int) -> re.Match[str]:
        """The match of the pattern at a place that `start` has found."""
        found = re.compile(self.opening, re.DOTALL).match(answer, start)
        assert found is not None
        return found

    def closed(self, answer: str, at: int) -> int:
        """Where the text after what closes a call begins."""
        return past(answer, at, self.closing)


def past(answer: str, at: int, pattern: str) -> int:
    """Where a pattern ends that may stand at a place."""
    found = re.compile(pattern, re.DOTALL).match(answer, at)
    return found.end() if found else at


def tool_named(name: str, tools: Sequence[Tool]) -> Tool | None:
    """The tool of a name."""
    return next((tool for tool in tools if tool.name == name), None)
