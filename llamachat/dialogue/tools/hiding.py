"""An answer without the calls of tools in it, which are reported when they are run."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.dialogue.sinks import Sink, Wrapper
from llamachat.dialogue.thoughts import overlap
from llamachat.dialogue.tools.choice import Dialect
from llamachat.dialogue.tools.reading import Reader
from llamachat.engine.events import Event, Stop, Token

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer

ENOUGH = 80
"""Characters after which an answer that could be a call as a whole must have said that it is one."""

SAYS_CALL = re.compile(r'\s*(?:<\|\w+\|>)?\s*(?:```(?:json)?\s*)?(?:\[\s*)*(?:\w+\(|\{\s*"(?:name|type)")')


class CallsSink(Wrapper):
    """Another sink, which gets an answer up to where a call begins. What follows is held back to its end, and passed
    then if it is no call, or if the answer was stopped.

    inside: the answer begins within a thought, where nothing is a call.
    """

    def __init__(self, inner: Sink, dialect: Dialect, reader: Reader, tokenizer: "Tokenizer", inside: bool) -> None:
        super().__init__(inner)
        self._form, self._thought, self._reader = dialect.form, dialect.thought, reader
        self._tokenizer, self._inside = tokenizer, inside
        self._said = ""
        self._pieces: list[tuple[str, bool]] = []
        self._shown = self._at = self._begin = 0
        self._thinking, self._fresh = inside, True
        self._hiding = self._stopped = False

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free."""
        self._stopped = self._stopped or isinstance(event, Stop)
        spelled = ""
        if isinstance(event, Token) and not self._tokenizer.piece_bytes(event.id):
            spelled = self._tokenizer.piece_bytes(event.id, special=True).decode("utf-8", "replace")
        self._said += event.text + spelled
        self._pieces += [(event.text, True), (spelled, False)]
        self.inner.event(replace(event, text=self._up_to(self._certain())))

    def close(self) -> None:
        """Passes what was held back and is no call, and ends the other sink."""
        reading = self._reader.read(self._said, self._inside)
        calls = self._hiding and self._stopped and bool(reading.calls)
        rest = reading.rest if calls else self._up_to(len(self._said))
        if rest:
            self.inner.event(Event(rest))
        self.inner.close()

    def _certain(self) -> int:
        """The end of the text that cannot be part of a call."""
        form = self._form
        if self._hiding:
            held = self._said[self._begin :]
            if not form.at_start or len(held) < ENOUGH or SAYS_CALL.match(held):
                return self._begin
            self._hiding, self._fresh, self._at = False, False, len(self._said)
        while self._step():
            pass
        if self._hiding or (form.at_start and self._fresh and not self._said[self._at :].strip()):
            return self._begin if self._hiding else self._at
        return len(self._said) - (0 if self._thinking else self._overlap())

    def _step(self) -> bool:
        """Goes to the next marker or beginning; whether there was one."""
        thought, form = self._thought, self._form
        if self._thinking and thought is not None:
            if thought.closes(self._said, self._at) < 0:
                return False
            self._at, self._thinking, self._fresh = thought.after(self._said, self._at), False, True
            return True
        opening = thought.opens(self._said, self._at) if thought is not None else -1
        places = [place for mark in form.begins if (place := self._said.find(mark, self._at)) >= 0]
        if form.at_start:
            places = [place for place in places if self._fresh and not self._said[self._at : place].strip()]
        begin = min(places, default=-1)
        if opening >= 0 and (begin < 0 or opening <= begin):
            assert thought is not None
            self._at, self._thinking = opening + len(thought.opening), True
            return True
        if begin >= 0:
            self._hiding, self._begin = True, begin
        elif self._said[self._at :].strip() and not self._overlap():
            self._fresh = False
        return False

    def _overlap(self) -> int:
        """How many characters at the end may begin a call."""
        marks = self._form.begins if self._fresh or not self._form.at_start else ()
        return overlap(self._said[self._at :], marks)

    def _up_to(self, end: int) -> str:
        """The text that is printed up to a place, and not yet shown."""
        shown = ""
        while self._pieces and self._shown < end:
            piece, printed = self._pieces.pop(0)
            taken = piece[: end - self._shown]
            if len(taken) < len(piece):
                self._pieces.insert(0, (piece[len(taken) :], printed))
            self._shown += len(taken)
            shown += taken if printed else ""
        return shown
