"""The calls of an answer, read from its text with control tokens spelled out. What stands in a thought is no call."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llamachat.dialogue.thoughts import Markers
from llamachat.dialogue.tools.call import Call, Reading, UnreadableCall
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats.base import CallFormat

CONTROL = re.compile(r"\s*(?:(?:</s>|<\|[^|<>]+\|>|<｜[^｜<>]+｜>)\s*)*")
"""What a model may say after its last call: that it has ended."""


@dataclass(frozen=True)
class Reader:
    """How one model's answers are read. thought: how it marks its thoughts, None where it has none."""

    form: CallFormat
    tools: Sequence[Tool]
    thought: Markers | None = None

    def read(self, answer: str, inside: bool = False) -> Reading:
        """The calls of an answer; all of it is text where there is none. inside: it begins within a thought.

        A thought that does not end reaches to the end. Where one ends that never began, all before it was one.
        """
        try:
            return self._read(answer, inside)
        except UnreadableCall as error:
            return Reading(answer, (), str(error))

    def _read(self, answer: str, inside: bool) -> Reading:
        kept, calls, at, begin = "", list[Call](), 0, 0
        fresh = True
        if inside:
            at = begin = self._after_thought(answer, 0)
        while True:
            opening, closing = self._marker(answer, at, "opening"), self._marker(answer, at, "closing")
            start = -1
            if fresh or not self.form.at_start:
                start = self.form.start(answer, at, self.tools)
            place = min((one for one in (start, opening, closing) if one >= 0), default=-1)
            if place < 0:
                break
            if place == start and not (self.form.at_start and place == opening):
                found, after = self.form.take(answer, start, self.tools)
                kept, at, fresh = kept + answer[begin:start], max(after, start + 1), False
                begin = at
                calls += found
                continue
            if place == closing:  # all of it was a thought
                kept, calls, begin = "", [], 0
                at = closing + len(self._thought_mark("closing"))
            else:
                at = self._after_thought(answer, opening + len(self._thought_mark("opening")))
            fresh = not calls
        if not calls:
            return Reading(answer)
        rest = "" if CONTROL.fullmatch(answer[begin:]) else answer[begin:]
        return Reading((kept + rest).strip(), tuple(calls), rest=rest)

    def _marker(self, answer: str, at: int, which: str) -> int:
        return answer.find(self._thought_mark(which), at) if self.thought is not None else -1

    def _thought_mark(self, which: str) -> str:
        assert self.thought is not None
        return self.thought.opening if which == "opening" else self.thought.closing

    def _after_thought(self, answer: str, at: int) -> int:
        """Where the answer after the thought that is open at a place begins."""
        if self.thought is None:
            return at
        end = answer.find(self.thought.closing, at)
        return end + len(self.thought.closing) if end >= 0 else len(answer)
