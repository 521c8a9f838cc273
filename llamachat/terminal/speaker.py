"""A model that speaks: a context, the options of its answers, and the terminal where they appear."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llamachat.engine.generate import Event, GenerationOptions, Stop, StopReason, Token, common_prefix, generate
from llamachat.library import chat_template
from llamachat.terminal.conversation import Conversation
from llamachat.terminal.output import Output, note
from llamachat.terminal.statistics import Statistics
from llamachat.terminal.status import Status
from llamachat.terminal.stream import Stream

if TYPE_CHECKING:
    from llamachat.engine.context import Context
    from llamachat.engine.model import Model

REMARKS: dict[StopReason, str] = {
    "length": "cut short: the number of tokens that -n allows is reached",
    "context": "cut short: the context is full (--ctx-size)",
    "cancelled": "interrupted",
}


@dataclass(frozen=True)
class Answer:
    """What was said, as text and as tokens, and why it ended; a Ctrl+C makes the reason "cancelled"."""

    text: str
    ids: list[int]
    reason: StopReason
    statistics: Statistics


@dataclass(frozen=True)
class Speaker:
    """What an answer needs besides its prompt: where it is computed, how, and where it is shown."""

    model: "Model"
    context: "Context"
    options: GenerationOptions
    output: Output
    status: Status

    def speak(self, prompt: Sequence[int]) -> Answer:
        """Writes the continuation of the prompt's tokens to the output, piece by piece, and returns it.

        Raises what `generate` raises, and BrokenPipeError; the first Ctrl+C ends the answer, a second one raises.
        """
        statistics = Statistics(len(prompt), min(common_prefix(self.context.tokens, prompt), len(prompt) - 1))
        said: list[Event] = []
        events = generate(self.context, self.model.tokenizer, prompt, self.options, self._progress)
        with Stream(statistics.watch(events), self.context) as stream:
            for event in stream:
                if not said:
                    self.status.clear()
                said.append(event)
                self.output.write(event.text)
        self.status.clear()
        reason: StopReason = next((event.reason for event in said if isinstance(event, Stop)), "cancelled")
        ids = [event.id for event in said if isinstance(event, Token)]
        return Answer("".join(event.text for event in said), ids, reason, statistics)

    def stopping_at(self, stop: Sequence[str]) -> "Speaker":
        """The same speaker, who also stops at these texts."""
        return replace(self, options=replace(self.options, stop=(*self.options.stop, *stop)))

    def conversation(self, system: str | None = None) -> Conversation:
        """A new conversation through the model's own chat template, or ChatML where the file has none."""
        return Conversation(self.model.tokenizer, chat_template(self.model), system)

    def report(self, answer: Answer) -> None:
        """Says on standard error how fast the answer came, and why it ended if not by itself."""
        remark = REMARKS.get(answer.reason)
        note(f"{answer.statistics}" + (f" {remark}" if remark else ""))

    def _progress(self, done: int, total: int) -> None:
        self.status.progress("reading the prompt", done, total)

    def scoring(self, done: int, total: int) -> None:
        """Progress of scoring a text, in tokens."""
        self.status.progress("scoring", done, total)
