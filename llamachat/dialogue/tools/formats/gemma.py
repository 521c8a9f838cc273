"""Calls as Gemma writes them: `call:name{key:value}`, where texts stand between marks of their own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.dialogue.tools.call import DEEPEST, Call, UnreadableCall, call_of
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import NAME, Patterned

_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None, "None": None}


@dataclass(frozen=True, kw_only=True)
class GemmaCalls(Patterned):
    """quote: the mark on both sides of a text."""

    quote: str

    def take(self, answer: str, start: int, tools: Sequence[Tool]) -> tuple[list[Call], int]:
        """One call. Raises UnreadableCall."""
        opened = self.opened(answer, start)
        reader = _Reader(answer, opened.end(), self.quote)
        arguments = reader.value(0)
        return [call_of(opened["name"], arguments)], self.closed(answer, reader.at)


class _Reader:
    """Reads values from a place on."""

    def __init__(self, text: str, at: int, quote: str) -> None:
        self.text, self.at, self._quote = text, at, quote

    def value(self, depth: int) -> Any:
        """The value that begins here. Raises UnreadableCall."""
        if depth > DEEPEST:
            raise UnreadableCall(f"a call that nests deeper than {DEEPEST} levels")
        if self._takes(self._quote):
            return self._until(self._quote)
        if self._takes("{"):
            return self._object(depth)
        if self._takes("["):
            return self._list(depth)
        word = self._matching(r"[^,{}\[\]<]*").strip()
        return _plain(word)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._takes("}"):
            key = self._until(self._quote) if self._takes(self._quote) else self._matching(r"[^:{}\[\],]*").strip()
            if not self._takes(":"):
                raise UnreadableCall("a call whose arguments cannot be read")
            found[key] = self.value(depth + 1)
            self._takes(",")
        return found

    def _list(self, depth: int) -> list[Any]:
        found = []
        while not self._takes("]"):
            before = self.at
            found.append(self.value(depth + 1))
            if not self._takes(",") and self.at == before:
                raise UnreadableCall("a call whose arguments cannot be read")
        return found

    def _takes(self, mark: str) -> bool:
        self._matching(r"\s*")
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def _until(self, mark: str) -> str:
        end = self.text.find(mark, self.at)
        if end < 0:
            raise UnreadableCall("a call whose text does not end")
        found, self.at = self.text[self.at : end], end + len(mark)
        return found

    def _matching(self, pattern: str) -> str:
        found = re.compile(pattern).match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return found[0]


def _plain(word: str) -> Any:
    """A number, one of the words of JSON, or the text itself."""
    if word in _WORDS:
        return _WORDS[word]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    if not word:
        raise UnreadableCall("a call whose arguments cannot be read")
    return word


FORMATS = (
    GemmaCalls(
        name="gemma4",
        begins=("<|tool_call>",),
        marks=("<|tool_call>call:",),
        opening=rf"<\|tool_call>\s*call:(?P<name>{NAME})(?=\{{)",
        closing=r"\s*<tool_call\|>",
        quote='<|"|>',
    ),
    GemmaCalls(
        name="functiongemma",
        begins=("<start_function_call>",),
        marks=("<start_function_call>call:",),
        opening=rf"<start_function_call>\s*call:(?P<name>{NAME})(?=\{{)",
        closing=r"\s*<end_function_call>",
        quote="<escape>",
    ),
)
