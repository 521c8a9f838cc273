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
        fresh, thought = True, self.thought
        if inside and thought is not None:
            at = begin = thought.after(answer, 0)
        while True:
            opening, closing = (thought.opens(answer, at), thought.closes(answer, at)) if thought else (-1, -1)
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
            assert thought is not None
            if place == closing:  # all of it was a thought
                kept, calls, begin = "", [], 0
                at = thought.after(answer, closing)
            else:
                at = thought.after(answer, opening + len(thought.opening))
            fresh = not calls
        if not calls:
            return Reading(answer)
        rest = "" if CONTROL.fullmatch(answer[begin:]) else answer[begin:]
        return Reading((kept + rest).strip(), tuple(calls), rest=rest)
