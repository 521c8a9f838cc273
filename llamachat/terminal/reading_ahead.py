"""While the person types, the model prefills what stands before the next message in any case."""

from collections.abc import Iterator
from contextlib import contextmanager

from llamachat.dialogue.prefill import Prefill
from llamachat.errors import LlamaChatError
from llamachat.terminal.chatting import Chat
from llamachat.terminal.echo import echo_off
from llamachat.terminal.view import prepare_views


@contextmanager
def reading_ahead(chat: Chat) -> Iterator[None]:
    """Around the wait for a message, if a person types it. When it is left nothing is computed any more."""
    prefill = _prefill(chat)
    if prefill is None:
        yield
        return
    prefill.start()
    try:
        yield
    finally:
        with echo_off():  # the next message may be typed before this one can be answered
            prefill.stop()


def _prefill(chat: Chat) -> Prefill | None:
    """None where no person types, or where the chat cannot be read any more: the next message says so."""
    if not chat.console.output.is_terminal:
        return None
    try:
        find = chat.conversation.known_prefix()
    except LlamaChatError:
        return None

    def prepared() -> list[int]:
        prepare_views()
        return find()

    return Prefill(chat.responder, prepared)
