"""A model that speaks: a context, the options of its answers, and the terminal where they appear."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from llamachat.dialogue.prompts import Prompt, chat_template
from llamachat.engine.generate import Event, GenerationOptions, Speculation, Stop, StopReason, Timings, Token, generate
from llamachat.errors import GrammarError
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal import statistics
from llamachat.terminal.answer_only import AnswerOutput, answer_only
from llamachat.terminal.outgrowing import ShiftTeller
from llamachat.terminal.output import Output, note
from llamachat.terminal.status import Status
from llamachat.terminal.stream import Cancellable, Stream

if TYPE_CHECKING:
    from llamachat.engine.context import Context
    from llamachat.engine.model import Model

REMARKS: dict[StopReason, str] = {
    "length": "cut short: the number of tokens that -n allows is reached",
    "context": "cut short: the context is full (--ctx-size)",
    "cancelled": "interrupted",
    "grammar": "cut short: the grammar failed",
}


@dataclass(frozen=True)
class Answer:
    """What was said, as text and as tokens, and why it ended; a Ctrl+C makes the reason "cancelled"."""

    text: str
    ids: list[int]
    reason: StopReason
    timings: Timings
    error: GrammarError | None = None


@dataclass(frozen=True)
class Both:
    """The context of an answer and the draft's, stopped together."""

    engines: Sequence[Cancellable]

    def cancel(self) -> None:
        """Stops all."""
        for engine in self.engines:
            engine.cancel()

    def resume(self) -> None:
        """Takes it back."""
        for engine in self.engines:
            engine.resume()


class Keeps(Protocol):
    """What keeps evaluated prompts, so that they are not evaluated again."""

    def take_over(self, responder: "Responder", prompt: Sequence[int]) -> list[int]:
        """Fills the responder's context with what is kept of the prompt; returns the prompt."""
        ...

    def keep(self, responder: "Responder", n_prompt: int) -> None:
        """Keeps the first n_prompt tokens of the responder's context."""
        ...


@dataclass(frozen=True)
class Responder:
    """What an answer needs besides its prompt: where it is computed, how, and where it is shown.

    load_s: how long it took to load the model. template: the chat template that was chosen, if any. tells_shift: the
    first time that old tokens are forgotten within an answer is said on standard error. hides: answers are shown
    without the thoughts before them.
    """

    model: "Model"
    context: "Context"
    options: GenerationOptions
    output: Output
    status: Status
    speculation: Speculation | None = None
    load_s: float = 0.0
    template: ChatTemplate | None = None
    tells_shift: bool = False
    hides: bool = False

    def speak(self, prompt: Prompt | Sequence[int], n_begun: int = 0, keeper: Keeps | None = None) -> Answer:
        """Writes the continuation of a prompt to the output, piece by piece, and returns it.

        n_begun: so many of the prompt's last tokens are the beginning of the answer. keeper: what has evaluated prompts
        and gets this one. Raises what `generate` raises, and BrokenPipeError; the first Ctrl+C ends the answer, a
        second one raises.
        """
        said: list[Event] = []
        vocabulary, n_ctx, output = self.model.tokenizer, self.context.n_ctx, self.output
        ids = prompt.tokens(vocabulary, n_ctx) if isinstance(prompt, Prompt) else prompt
        if keeper is not None:
            ids = keeper.take_over(self, ids)
        if self.hides and self.template is not None:
            output = AnswerOutput(output, answer_only(self.template, vocabulary, ids))
        events = generate(self.context, vocabulary, ids, self.options, self._progress, self.speculation, n_begun)
        shift = ShiftTeller(n_ctx, len(ids) - n_begun, output.is_terminal)
        with Stream(events, self._engines(), output.idle) as stream:
            for event in stream:
                if not said:
                    self.status.clear()
                said.append(event)
                output.event(event)
                if self.tells_shift:
                    shift.event(event)
        self.status.clear()
        if keeper is not None:
            keeper.keep(self, len(ids))
        return _answer(said, len(ids), n_begun)

    def answering(self) -> "Responder":
        """The same responder in a conversation; says so if the model has no chat template and none was given."""
        if self.template is None and self.model.chat_template is None:
            note("this model has no chat template, so ChatML is used: if it only continues texts, it may not follow it")
        template = self.template or chat_template(self.model)
        return replace(self.stopping_at(template.end_texts), template=template)

    def stopping_at(self, stop: Sequence[str]) -> "Responder":
        """The same responder, who also stops at these texts."""
        return replace(self, options=replace(self.options, stop=(*self.options.stop, *stop)))

    def report(self, answer: Answer, everything: bool = False) -> None:
        """Says on standard error how fast the answer came, and why it ended if not by itself."""
        remark = REMARKS.get(answer.reason)
        figures = statistics.line(answer.timings)
        note(figures + (f" {remark}" if remark else ""))
        if everything:
            note(statistics.report(answer.timings, self.load_s, self.context.n_ctx))

    def _engines(self) -> Cancellable:
        draft = self.speculation.proposer if self.speculation is not None else None
        return Both([self.context, draft] if isinstance(draft, Cancellable) else [self.context])

    def _progress(self, done: int, total: int) -> None:
        self.status.progress("reading the prompt", done, total)

    def scoring(self, done: int, total: int) -> None:
        """Progress of scoring a text, in tokens."""
        self.status.progress("scoring", done, total)


def _answer(said: Sequence[Event], n_prompt: int, n_begun: int) -> Answer:
    """The answer that these events are; without a `Stop` it was interrupted."""
    ids = [event.id for event in said if isinstance(event, Token)]
    text = "".join(event.text for event in said)
    for event in said:
        if isinstance(event, Stop):
            return Answer(text, ids, event.reason, event.timings, event.error)
    return Answer(text, ids, "cancelled", Timings(n_prompt=n_prompt, n_generated=len(ids) - n_begun))
