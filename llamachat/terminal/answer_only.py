"""Answers without what the model thought before them, for programs and files."""

from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.dialogue.thinking import Thinking, thinking_of
from llamachat.dialogue.thoughts import Thought
from llamachat.engine.events import Event, Stop
from llamachat.terminal.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamachat.engine.tokenizers import Tokenizer
    from llamachat.templates.renderer import ChatTemplate


class AnswerOnly:
    """The events of one answer, less the text of a thought at its beginning. A text that is all thought is the answer,
    if the model ended it there.
    """

    def __init__(self, thinking: Thinking) -> None:
        self._thinking = thinking
        self._thought = Thought(thinking.markers, thinking.inside) if thinking.markers is not None else None
        self._thoughts, self._answered = "", False

    def of(self, event: Event) -> Event:
        """The event with the part of its text that is answer."""
        if self._thought is None:
            return event
        pieces = self._thought.feed(self._thinking.text_of(event))
        if isinstance(event, Stop):
            pieces += self._thought.finish()
        said = "".join(piece for is_thought, piece in pieces if not is_thought)
        self._thoughts += "".join(piece for is_thought, piece in pieces if is_thought)
        if isinstance(event, Stop) and event.reason in ("eos", "stop") and self._thought.inside:
            said = self._thoughts
        said = said if self._answered else said.lstrip("\n")
        self._answered = self._answered or bool(said)
        return replace(event, text=said)


class AnswerOutput(Output):
    """Another output, which gets the answer only."""

    def __init__(self, inner: Output, answer: AnswerOnly) -> None:
        super().__init__()
        self._inner, self._answer = inner, answer

    def event(self, event: Event) -> None:
        """Writes the part of its text that is answer."""
        self._inner.event(self._answer.of(event))

    def write(self, text: str) -> None:
        """Writes a piece at once."""
        self._inner.write(text)

    def prompt(self, text: str) -> None:
        """Writes the prompt that the answer goes on from."""
        self._inner.prompt(text)

    def idle(self) -> None:
        """Nothing has come for a while."""
        self._inner.idle()

    def finish(self) -> None:
        """Nothing more will come."""
        self._inner.finish()

    def end_line(self) -> None:
        """Writes a line break, unless the text ended with one or is empty."""
        self._inner.end_line()


def answer_only(template: "ChatTemplate", tokenizer: "Tokenizer", prompt: "Sequence[int]") -> AnswerOnly:
    """What leaves the thoughts out of the answer to a prompt, made by a chat template."""
    return AnswerOnly(thinking_of(template.source, tokenizer, prompt))
