"""The state of an open dialogue, and one answer in it: written to a sink, kept from its first word on."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llamachat.dialogue.autosave import AutosaveSink, KeptAnswer
from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.fitting import Begun, Fitting
from llamachat.dialogue.notices import Notice, TooManyCalls
from llamachat.dialogue.responder import Answer, Responder
from llamachat.dialogue.sinks import Discard, Sink
from llamachat.dialogue.thinking import Thinking, thinking_of
from llamachat.dialogue.turn_record import turn_record
from llamachat.engine.answering import GenerationOptions
from llamachat.engine.events import Timings
from llamachat.session.chats import DONE, INTERRUPTED, StoredMessage

if TYPE_CHECKING:
    from llamachat.dialogue.keeper import Keeper
    from llamachat.dialogue.tools.using import ToolUse
    from llamachat.engine.tokenizers import Tokenizer

MOST_ROUNDS = 8
"""This many answers in a row may call tools."""


@dataclass(frozen=True)
class DialogueSettings:
    """How a dialogue behaves. on_full: "shift" forgets the oldest turns, "summarize" keeps them in a few sentences,
    "stop" refuses.
    """

    on_full: str = "shift"


@dataclass
class Answering:
    """Who answers in which conversation, and the last answer. The methods at the end are for who shows a dialogue.

    last: the last answer, prompt: what it answered, answered: the message that it is. files: names and texts that go
    before the next message, by chat. keeper: what is asked before another chat is opened. give_back: takes a message
    that was not answered; without it the message stays in the chat.
    """

    responder: Responder
    conversation: Conversation
    settings: DialogueSettings = field(default_factory=DialogueSettings)
    last: Answer | None = None
    prompt: list[int] = field(default_factory=list)
    answered: int | None = None
    files: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    tools: "ToolUse | None" = None
    keeper: "Keeper | None" = None
    give_back: Callable[[str], None] | None = None

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's."""
        return self.responder.model.tokenizer

    @property
    def current(self) -> Answer | None:
        """The last answer, if it was given in this run and is the end of the chat."""
        return self.last if self.answered is not None and self.answered == self.conversation.head else None

    @property
    def n_tokens(self) -> int:
        """How many tokens the chat has as it is now."""
        count = self.conversation.n_tokens
        return len(self.responder.context.tokens) if count is None else count

    @property
    def fitting(self) -> Fitting:
        """What makes the conversation fit the context."""
        return Fitting(self.responder, self.conversation, self.settings.on_full, self.tell)

    def fitted(self, begun: Begun | None = None) -> list[int]:
        """The prompt of the conversation as it is now. Raises as `Fitting.prompt`."""
        return self.fitting.prompt(begun)

    def spelled(self) -> tuple[list[int], list[int]] | None:
        """(prompt, answer) in tokens, of the answer that the chat ends with; None where it ends with none.

        Raises as `Conversation.tokens`.
        """
        path = self.conversation.path()
        if not path or path[-1].role != "assistant":
            return None
        if self.current is not None:
            return self.prompt, self.current.ids
        with self.conversation.standing_at(path[-1].parent):
            prompt = self.conversation.tokens()
        return prompt, self.begun_of(prompt, path[-1])

    def begun_of(self, prompt: list[int], answer: StoredMessage) -> list[int]:
        """The tokens of an answer to the prompt, as they were chosen or else as the tokenizer spells it."""
        if self.last is not None and self.answered == answer.id:
            return self.last.ids
        thinking = thinking_of(self.conversation.template.source, self.tokenizer, prompt)
        return thinking.spell(answer.content, self.tokenizer)

    def answer(
        self, tokens: list[int], parent: int, begun: Sequence[int] = (), before: StoredMessage | None = None
    ) -> bool:
        """Writes the answer to a prompt and keeps it after `parent`; False where nothing was said.

        begun: the first tokens of the answer, which are given. before: the message that they are, which continues.
        """
        conversation = self.conversation
        thinking = thinking_of(conversation.template.source, self.tokenizer, tokens)
        kept = KeptAnswer(conversation.store, conversation.chat, parent, None if before is None else before.id)
        sink = AutosaveSink(self.sink(tokens, thinking, before), kept, thinking, len(begun))
        responder = replace(self.responder, options=self._options(tokens))
        try:
            with self.answering():
                answer = responder.answer([*tokens, *begun], sink, len(begun))
            answer = replace(answer, text=sink.text)
            said = len(answer.ids) > len(begun) or answer.reason != "cancelled"
            if said:
                record = turn_record(self.responder, conversation.template.name or "", answer)
                kept.keep(answer.text, INTERRUPTED if answer.reason == "cancelled" else DONE, record)
                self._answered(answer, tokens, kept)
        except BaseException:
            sink.interrupt()
            if kept.message is not None and sink.has_words:
                self._answered(Answer(sink.text, sink.ids, "cancelled", Timings()), tokens, kept)
            with suppress(OSError):  # nobody may read it any more
                sink.close()
            raise
        sink.close()
        self.finished(answer)
        return said

    def use_tools(self) -> None:
        """Runs what the last answer calls and lets the model continue with the results."""
        for _ in range(MOST_ROUNDS):
            if self.tools is None or self.last is None or self.last.reason == "cancelled":
                return
            last = self.tools.follow(self.conversation, self.prompt, self.last.ids, self.tell)
            if last is None or not self.answer(self.fitted(), last):
                return
        self.tell(TooManyCalls(MOST_ROUNDS))

    def _options(self, tokens: list[int]) -> GenerationOptions:
        options = self.responder.options
        if self.tools is not None:
            options = self.tools.begun(options, self.tokenizer, tokens)
        return self.fitting.options(options, tokens)

    def _answered(self, answer: Answer, prompt: list[int], kept: KeptAnswer) -> None:
        self.last, self.prompt, self.answered = answer, prompt, kept.message

    def tell(self, notice: Notice) -> None:
        """Shows what happens besides the answers; here nothing."""

    def sink(self, prompt: list[int], thinking: Thinking, before: StoredMessage | None) -> Sink:
        """Where an answer goes, asked when it begins; here nowhere. before: the message that continues."""
        return Discard()

    def answering(self) -> AbstractContextManager[None]:
        """Around what is computed for an answer, also several times within itself."""
        return nullcontext()

    def finished(self, answer: Answer) -> None:
        """An answer has ended, and its sink is closed."""
