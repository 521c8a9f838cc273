"""A model that answers: a context, the options of its answers, and how they are computed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llamachat.dialogue.prompts import Prompt, chat_template
from llamachat.dialogue.running import Cancellable, InPlace, Runner, Several
from llamachat.dialogue.sinks import Sink
from llamachat.engine.generate import Event, GenerationOptions, Speculation, Stop, StopReason, Timings, Token, generate
from llamachat.errors import GrammarError
from llamachat.templates.renderer import ChatTemplate

if TYPE_CHECKING:
    from llamachat.engine.context import Context
    from llamachat.engine.model import Model


@dataclass(frozen=True)
class Answer:
    """An answer as text and as token ids, and why it ended: "cancelled" also where the caller stopped it."""

    text: str
    ids: list[int]
    reason: StopReason
    timings: Timings
    error: GrammarError | None = None


@dataclass(frozen=True)
class Responder:
    """What an answer needs besides its prompt.

    template: the chat template that was chosen; None is the model's own. load_s: seconds that loading the model took.
    """

    model: "Model"
    context: "Context"
    options: GenerationOptions
    runner: Runner = field(default_factory=InPlace)
    speculation: Speculation | None = None
    load_s: float = 0.0
    template: ChatTemplate | None = None

    def answer(self, prompt: Sequence[int], sink: Sink, n_begun: int = 0) -> Answer:
        """Continues the prompt's tokens, passes the events to the sink as they come, and returns the whole.

        n_begun: this many of the prompt's last tokens are the beginning of the answer. The sink is not closed.
        Raises what `generate`, the runner and the sink raise.
        """
        said: list[Event] = []
        progress = self.runner.progress
        events = generate(self.context, self.model.tokenizer, prompt, self.options, progress, self.speculation, n_begun)
        with self.runner.events(events, self._engines(), sink.idle) as coming:
            for event in coming:
                said.append(event)
                sink.event(event)
        ids = [event.id for event in said if isinstance(event, Token)]
        text = "".join(event.text for event in said)
        for event in said:
            if isinstance(event, Stop):
                return Answer(text, ids, event.reason, event.timings, event.error)
        return Answer(text, ids, "cancelled", Timings(n_prompt=len(prompt), n_generated=len(ids) - n_begun))

    def tokens(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt that belongs to no conversation. Raises ContextFull."""
        return prompt.tokens(self.model.tokenizer, self.context.n_ctx)

    def in_chats(self) -> "Responder":
        """The same responder for prompts of a chat template: it also stops where the template ends an answer."""
        template = self.template or chat_template(self.model)
        return replace(self.stopping_at(template.end_texts), template=template)

    def stopping_at(self, stop: Sequence[str]) -> "Responder":
        """The same responder, which also stops at these texts."""
        return replace(self, options=replace(self.options, stop=(*self.options.stop, *stop)))

    def _engines(self) -> Cancellable:
        draft = self.speculation.proposer if self.speculation is not None else None
        return Several([self.context, draft] if isinstance(draft, Cancellable) else [self.context])
