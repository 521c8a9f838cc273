"""A conversation in a context that is too small for it: turns are forgotten, summarised, or the message is refused.

Whatever is done is reported. The system prompt stays, also where an answer outgrows the context.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from llamachat.dialogue.conversation import Conversation, Message
from llamachat.dialogue.notices import Notice, Summarizing, TurnsForgotten
from llamachat.dialogue.prompts import chat_tokens
from llamachat.dialogue.responder import Responder
from llamachat.dialogue.reuse import as_held, forget_between, keep_same
from llamachat.dialogue.sinks import Discard
from llamachat.dialogue.thoughts import without_thoughts
from llamachat.engine.answering import GenerationOptions
from llamachat.errors import Cancelled, LlamaChatError

Begun = Callable[[list[int]], Sequence[int]]
"""The first tokens of the answer to a prompt."""

ASK = (
    "Summarise our conversation so far in a few sentences. Keep names, numbers, facts, wishes and decisions. "
    "Write only the summary."
)

STOP, SUMMARIZE = "stop", "summarize"
"""Values of on_full; any other one forgets the oldest turns."""


def room_of_summary(n_ctx: int) -> int:
    """Tokens that a summary may have."""
    return min(512, n_ctx // 8)


@dataclass(frozen=True)
class Fitting:
    """Fits a conversation into the context of a responder. on_full: what happens where it is too long.

    tell: is given what was forgotten.
    """

    responder: Responder
    conversation: Conversation
    on_full: str
    tell: Callable[[Notice], None]

    def prompt(self, begun: Begun | None = None) -> list[int]:
        """The tokens of the conversation, made to fit the context.

        What the context holds of it already is spelled as there; what it holds besides is forgotten. begun: the tokens
        after them that it may hold, too. Raises ContextFull where the last message alone is too long, and where nothing
        may be forgotten; Cancelled where the summary is stopped. Nothing is forgotten then.
        """
        tokens, context = self._fitted(), self.responder.context
        same = as_held(tokens, context.tokens, self.conversation.tokenizer.piece_bytes)
        tokens = same if len(same) < context.n_ctx else tokens
        keep_same(context, [*tokens, *(begun(tokens) if begun is not None else ())])
        return tokens

    def options(self, options: GenerationOptions, prompt: Sequence[int]) -> GenerationOptions:
        """The options of the answer to a prompt: where it outgrows the context the system prompt stays, or it ends."""
        if options.n_keep is None or options.n_keep < 0:
            return options
        if self.on_full == STOP:
            return replace(options, n_keep=None)
        with suppress(LlamaChatError):  # a template that refuses so short a chat says nothing of this one
            n_system = self.conversation.n_before_messages(prompt) - self.conversation.tokenizer.add_bos
            return replace(options, n_keep=max(options.n_keep, n_system))
        return options

    def _fitted(self) -> list[int]:
        conversation, context = self.conversation, self.responder.context
        before, summarize = conversation.forgotten, self.on_full == SUMMARIZE
        room = room_of_summary(context.n_ctx) if summarize else 0
        found = conversation.fitting(None, context.n_ctx, self.on_full != STOP, room)
        if found.n_turns and summarize and self._summarized(before, found.n_turns):
            shorter = conversation.tokens()
            if len(shorter) < context.n_ctx:
                return shorter
            conversation.set(summary=None)
        if found.n_turns:
            self.tell(TurnsForgotten(found.n_turns))
            forget_between(context, found.whole, found.tokens, conversation.tokenizer.piece_bytes)
        return found.tokens

    def _summarized(self, before: int, n_turns: int) -> bool:
        """Whether what was just forgotten is a summary now; it is remembered until the summary is there."""
        conversation, after = self.conversation, self.conversation.forgotten
        conversation.set(forgotten=before or None)
        self.tell(Summarizing(n_turns))
        summary = self._summary(after)
        conversation.set(forgotten=after, summary=summary or None)
        return bool(summary)

    def _summary(self, last: int) -> str:
        """The turns that the model remembers, up to the message at `last`, in its own words; "" for none.

        The prompt begins as the conversation did, so that little of it is evaluated. Turns that leave no room are left
        out.
        """
        conversation, context = self.conversation, self.responder.context
        room = room_of_summary(context.n_ctx)
        tokens: list[int] = []
        for first in [conversation.forgotten, *(one for one in conversation.borders() if one < last)]:
            asking: list[Message] = [*conversation.between(first, last), {"role": "user", "content": ASK}]
            read = chat_tokens(conversation.tokenizer, conversation.template, asking, conversation.tools or None)
            tokens = as_held(read, context.tokens, conversation.tokenizer.piece_bytes)
            if len(tokens) + room <= context.n_ctx:
                break
        else:
            return ""
        options = replace(self.responder.options, max_tokens=room, grammar=None, n_keep=None)
        answer = replace(self.responder, options=options).answer(tokens, Discard())
        if answer.reason == "cancelled":
            raise Cancelled("the summary was stopped")
        return without_thoughts(answer.text, conversation.template.source).strip()
