"""Saves an answer while it is written: from its first word on, then once a second, whatever ends it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llamachat.dialogue.sinks import Sink, Wrapper
from llamachat.dialogue.thinking import Thinking
from llamachat.endings import undisturbed
from llamachat.engine.events import Event, Token
from llamachat.session.chats import DONE, INTERRUPTED, PARTIAL, ChatStore, StoredMessage

KEEP_S = 0.9
"""Seconds between two saves of a partial answer. Idle time is noticed every 0.1 s, so this is once a second."""


@dataclass
class KeptAnswer:
    """An answer in a store, after the message `parent`; it becomes the head of its chat with its first word.

    message: its id; one that is there already is continued.
    """

    store: ChatStore
    chat: int
    parent: int
    message: int | None = None
    is_finished: bool = False

    def keep(self, text: str, state: str, extra: Mapping[str, Any] | None = None) -> None:
        """Writes what there is of it. A finished answer is changed no more."""
        if self.is_finished:
            return
        with undisturbed():
            if self.message is None:
                said = StoredMessage(0, None, "assistant", text, state, extra=dict(extra or {}))
                self.message = self.store.add(self.chat, self.parent, said)
            else:
                self.store.update(self.message, text, state, extra)
            self.is_finished = state == DONE


class AutosaveSink(Wrapper):
    """Another sink; what passes is saved, at least once a second.

    n_begun: this many tokens are the beginning of the answer, which was there before.
    """

    def __init__(self, inner: Sink, kept: KeptAnswer, thinking: Thinking, n_begun: int = 0) -> None:
        super().__init__(inner)
        self._kept, self._thinking, self._n_begun = kept, thinking, n_begun
        self.ids: list[int] = []
        self._text, self._time, self._stale, self.has_words = "", float("-inf"), False, False

    @property
    def text(self) -> str:
        """All that has passed, with the markers of its thoughts."""
        return self._thinking.whole(self._text)

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free, and passes the event on."""
        self._text += self._thinking.text_of(event)
        if isinstance(event, Token):
            self.ids.append(event.id)
        new = bool(event.text) and len(self.ids) > self._n_begun
        self.has_words = self.has_words or new
        self._stale = self._stale or new
        super().event(event)
        self._keep()

    def idle(self) -> None:
        """Keeps what has come meanwhile."""
        super().idle()
        self._keep()

    def interrupt(self) -> None:
        """Keeps what was said, if anything was, as interrupted."""
        if self.has_words:
            self._kept.keep(self.text, INTERRUPTED)

    def _keep(self) -> None:
        if self._stale and time.monotonic() - self._time >= KEEP_S:
            self._kept.keep(self.text, PARTIAL)
            self._time, self._stale = time.monotonic(), False
