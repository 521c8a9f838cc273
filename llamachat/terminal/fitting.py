"""A chat in a context that is too small for it: turns are forgotten, put into a few sentences, or nothing is asked.

Whatever is done is said. The system prompt stays, also where an answer outgrows the context.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.prompts import chat_tokens
from llamachat.dialogue.reuse import as_held, forget_between, keep_same
from llamachat.dialogue.spoken import spoken
from llamachat.engine.answering import GenerationOptions
from llamachat.errors import Cancelled, LlamaChatError
from llamachat.terminal.echo import echo_off
from llamachat.terminal.output import Output

if TYPE_CHECKING:
    from llamachat.dialogue.conversation import Message
    from llamachat.terminal.chatting import Chat
    from llamachat.terminal.responder import Responder

Begun = Callable[[list[int]], Sequence[int]]
"""The first tokens of the answer to a prompt."""

ASK = (
    "Summarise our conversation so far in a few sentences. Keep names, numbers, facts, wishes and decisions. "
    "Write only the summary."
)


class _Unseen(Output):
    """An output that shows nothing."""

    def write(self, text: str) -> None:
        """Keeps a piece to itself."""


def room_of_summary(n_ctx: int) -> int:
    """Tokens that a summary may have."""
    return min(512, n_ctx // 8)


def fitted(chat: "Chat", text: str | None, begun: Begun | None = None) -> list[int]:
    """The tokens of the chat with `text` as the next message, made to fit the context, which is said.

    What the context holds of it already is spelled as there. begun: the tokens after them that it may hold, too.
    Raises ContextFull where the message alone is too long, and where nothing may be forgotten; Cancelled where a person
    stops the summary. Nothing is forgotten then.
    """
    tokens, context = _fitted(chat, text), chat.responder.context
    same = as_held(tokens, context.tokens, chat.tokenizer.piece_bytes)
    tokens = same if len(same) < context.n_ctx else tokens
    keep_same(context, [*tokens, *(begun(tokens) if begun is not None else ())])
    return tokens


def _fitted(chat: "Chat", text: str | None) -> list[int]:
    conversation, n_ctx = chat.conversation, chat.responder.context.n_ctx
    before, summarize = conversation.forgotten, chat.manner.on_full == "summarize"
    room = room_of_summary(n_ctx) if summarize else 0
    found = conversation.fitting(text, n_ctx, chat.manner.on_full != "stop", room)
    tokens, n_turns = found.tokens, found.n_turns
    if n_turns and summarize and _summarized(chat, before, _turns(n_turns, "becomes", "become")):
        shorter = conversation.tokens(text)
        if len(shorter) < n_ctx:
            return shorter
        conversation.set(summary=None)
    if n_turns:
        chat.say(f"(the context is full: {_turns(n_turns, 'is', 'are')} forgotten)")
        forget_between(chat.responder.context, found.whole, tokens, chat.tokenizer.piece_bytes)
    return tokens


def _turns(count: int, one: str, many: str) -> str:
    return f"the oldest turn {one}" if count == 1 else f"the oldest {count} turns {many}"


def _summarized(chat: "Chat", before: int, turns: str) -> bool:
    """Whether what was just forgotten is a summary now; it is remembered until that is there."""
    conversation, after = chat.conversation, chat.conversation.forgotten
    conversation.set(forgotten=before or None)
    chat.say(f"(the context is full: {turns} a summary)")
    summary = _summary(chat.responder, conversation, after)
    conversation.set(forgotten=after, summary=summary or None)
    return bool(summary)


def _summary(responder: "Responder", conversation: Conversation, last: int) -> str:
    """The turns that the model remembers, up to the message at `last`, in its own words; "" for none.

    The prompt begins as the chat did, so that little of it is evaluated. Turns that leave no room are left out.
    """
    context, room = responder.context, room_of_summary(responder.context.n_ctx)
    tokens: list[int] = []
    for first in [conversation.forgotten, *(one for one in conversation.borders() if one < last)]:
        asking: list[Message] = [*conversation.between(first, last), {"role": "user", "content": ASK}]
        read = chat_tokens(conversation.tokenizer, conversation.template, asking, conversation.tools or None)
        tokens = as_held(read, context.tokens, conversation.tokenizer.piece_bytes)
        if len(tokens) + room <= context.n_ctx:
            break
    else:
        return ""
    options = replace(responder.options, max_tokens=room, grammar=None, n_keep=None)
    with echo_off():
        answer = replace(responder, options=options, output=_Unseen()).speak(tokens)
    if answer.reason == "cancelled":
        raise Cancelled("the summary was stopped")
    return spoken(answer.text, conversation.template.source).strip()


def options_of(chat: "Chat", tokens: list[int]) -> GenerationOptions:
    """How an answer is made: where it outgrows the context, the system prompt stays, or it ends."""
    options = chat.responder.options
    if chat.tools is not None:
        options = chat.tools.begun(options, chat.tokenizer, tokens)
    if options.n_keep is None or options.n_keep < 0:
        return options
    if chat.manner.on_full == "stop":
        return replace(options, n_keep=None)
    with suppress(LlamaChatError):  # a template that refuses so short a chat says nothing of this one
        n_told = chat.conversation.n_told(tokens) - chat.tokenizer.add_bos
        return replace(options, n_keep=max(options.n_keep, n_told))
    return options
