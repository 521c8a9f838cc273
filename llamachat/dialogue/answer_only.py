"""An answer without the thoughts before it: separated event by event, for every sink that shows them apart."""

from dataclasses import replace

from llamachat.dialogue.sinks import Sink, Wrapper
from llamachat.dialogue.thinking import Thinking
from llamachat.dialogue.thoughts import Thought
from llamachat.engine.events import Event, Failed, Stop

COMPLETE = ("eos", "stop")
"""The reasons with which a model ends an answer itself."""


class AnswerOnly:
    """Tells one answer's thoughts from what it says. A text that is all thought is the answer if the model ended there.

    thinking: what is known of the answer before it begins. thoughts: the text of the thought so far.
    """

    def __init__(self, thinking: Thinking) -> None:
        self._thinking = thinking
        self._thought = Thought(thinking.markers, thinking.inside) if thinking.markers is not None else None
        self._answered = False
        self.thoughts = ""

    @property
    def inside(self) -> bool:
        """Whether what comes next is thought."""
        return self._thought is not None and self._thought.inside

    def of(self, event: Event) -> Event:
        """The event with the part of its text that is answer."""
        if self._thought is None:
            return event
        said = self._said(self._thought.feed(self._thinking.text_of(event)))
        if isinstance(event, Stop | Failed):
            said += self._said(self._thought.finish())
            if isinstance(event, Stop) and event.reason in COMPLETE and self._thought.inside and self.thoughts.strip():
                said, self.thoughts = self.thoughts, ""
        return replace(event, text=self._begun(said))

    def rest(self) -> str:
        """What was held back of an answer that ended without a Stop event."""
        return self._begun(self._said(self._thought.finish())) if self._thought is not None else ""

    def _said(self, pieces: list[tuple[bool, str]]) -> str:
        self.thoughts += "".join(piece for is_thought, piece in pieces if is_thought)
        return "".join(piece for is_thought, piece in pieces if not is_thought)

    def _begun(self, said: str) -> str:
        """Without the line breaks before an answer's first word."""
        said = said if self._answered else said.lstrip("\n")
        self._answered = self._answered or bool(said)
        return said


class AnswerSink(Wrapper):
    """Another sink, which gets the answer without its thoughts; a view of thoughts is one that shows them, too."""

    def __init__(self, inner: Sink, thinking: Thinking) -> None:
        super().__init__(inner)
        self.answer = AnswerOnly(thinking)

    def event(self, event: Event) -> None:
        """Passes on the part of its text that is answer."""
        self.inner.event(self.answer.of(event))

    def close(self) -> None:
        """Passes on what was held back, and ends the other sink."""
        if rest := self.answer.rest():
            self.inner.event(Event(rest))
        super().close()
