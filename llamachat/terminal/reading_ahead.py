"""While the person types, the model reads what will stand before the next message in any case.

Then an answer waits for the message alone, also after the first one, and where a template takes earlier thoughts away.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

from llamachat.dialogue.reuse import as_held, keep_same
from llamachat.engine.events import Timings
from llamachat.engine.generation_context import GenerationContext
from llamachat.errors import LlamaChatError
from llamachat.terminal.echo import echo_off
from llamachat.terminal.view import prepare_views

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat


@contextmanager
def reading_ahead(chat: "Chat") -> Iterator[None]:
    """Around the wait for a message, if a person is to type it. When it is left nothing is computed any more."""
    find = _to_find(chat)
    if find is None:
        yield
        return
    context = chat.responder.context
    thread = Thread(target=_read, args=(chat, find), name="llamachat-reading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with echo_off():  # the next message may be typed before this one can be answered
            context.cancel()
            try:
                thread.join()
            finally:
                context.resume()


def _to_find(chat: "Chat") -> Callable[[], list[int]] | None:
    """What finds the tokens that are read; None for none: no person types, or the chat cannot be read any more."""
    if not chat.responder.output.is_terminal:
        return None
    try:
        return chat.conversation.certain()
    except LlamaChatError:  # said at the next message
        return None


def _read(chat: "Chat", find: Callable[[], list[int]]) -> None:
    """Evaluates what is certain. What goes wrong here, as in a template that refuses, is said when it is asked for."""
    context = chat.responder.context
    with suppress(Exception):
        prepare_views()
        certain = as_held(find(), context.tokens, chat.tokenizer.piece_bytes)
        if certain and len(certain) <= context.n_ctx - context.n_ctx // 4 and context.tokens[: len(certain)] != certain:
            keep_same(context, certain)
            window = GenerationContext(context, None, Timings())
            try:
                window.begin(certain)
            finally:
                window.end()
