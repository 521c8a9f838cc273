"""The loop of a chat: a line from the person, an answer from the model, until one of them has had enough."""

import time

from llamachat.errors import Cancelled, LlamaChatError
from llamachat.session.history import InputHistory
from llamachat.terminal.chatting import Chat
from llamachat.terminal.commands import complete, respond
from llamachat.terminal.input.message import Typed
from llamachat.terminal.input.reader import InputSettings, line_reader
from llamachat.terminal.messages import abridged
from llamachat.terminal.output import note, wants_colour
from llamachat.terminal.reading_ahead import reading_ahead
from llamachat.terminal.speaker import REMARKS

TWICE_S = 1.0
"""Two Ctrl+C within this time at the prompt leave."""


class ChatLoop:
    """A chat on a terminal. Ctrl+C stops the answer and keeps it; at the prompt it clears the line, twice it leaves."""

    def __init__(self, chat: Chat, vi: bool = False) -> None:
        self._chat = chat
        self._history = InputHistory(lasting=chat.conversation.store.is_kept)
        settings = InputSettings(
            lambda: chat.status,
            lambda text: complete(text, chat),
            vi,
            wants_colour(True),
        )
        self._read_line = line_reader(self._history, settings)
        self._warned = False
        self._given_back = self._quits = False
        chat.give_back = self._give_back
        self._interrupted = float("-inf")

    def run(self, resumed: bool = False, first: str = "") -> None:
        """Chats until the person quits. resumed: an earlier chat, whose end is shown. first: the first message."""
        speaker = self._chat.speaker
        self._chat.say(f"{speaker.model.title}, a context of {speaker.context.n_ctx} tokens.")
        self._chat.say("/help lists the commands, Ctrl+D leaves.")
        if resumed:
            self._chat.say("")
            self._chat.recall()
        if self._chat.attached:
            names = ", ".join(name for name, _ in self._chat.attached)
            self._chat.say(f"({names}: attached to {'this' if first else 'your next'} message)")
        if first:
            self._chat.say(f"> {abridged(first)}\n")
            self._answer(Typed(first, literal=True))
        while (line := self._read()) is not None:
            if not line.text.strip():
                continue
            self._answer(line)
            if self._quits:
                return

    def _answer(self, line: Typed) -> None:
        """Answers a message or runs a command; what ends it is said, and the chat continues."""
        try:
            self._quits = not respond(line, self._chat)
        except (KeyboardInterrupt, Cancelled):  # before the answer could begin, or a second time
            self._chat.say(f"\n({REMARKS['cancelled']})")
        except LlamaChatError as error:
            self._chat.speaker.status.clear()
            self._chat.speaker.output.end_line()
            self._chat.say(f"({error})")
        if self._quits:
            return
        if self._given_back:
            self._given_back = False
            self._chat.say(f"({self._kept()})")
        self._chat.say("")

    def _give_back(self, _text: str) -> None:
        self._given_back = True

    def _kept(self) -> str:
        """Where a message is that was not answered."""
        files = len(self._chat.attached)
        stays = {0: "", 1: "; its file stays attached"}.get(files, f"; its {files} files stay attached")
        return f"arrow up brings your message back{stays}"

    def _read(self) -> Typed | None:
        """The next line; None at the end of the input. A Ctrl+C gives up the line that was being typed."""
        try:
            with reading_ahead(self._chat):
                line = self._read_line()
        except KeyboardInterrupt:
            now = time.monotonic()
            if now - self._interrupted < TWICE_S:
                return None
            self._interrupted = now
            self._chat.say("(Ctrl+C again or Ctrl+D leaves)")
            return Typed("")
        except EOFError:
            return None
        if self._history.warning and not self._warned:
            note(self._history.warning)
            self._warned = True
        return line
