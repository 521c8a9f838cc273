"""The loop of a chat: reads a line, runs a command or answers a message, until the person quits."""

import shlex
import time
from contextlib import suppress

from llamachat.dialogue.responder import Answer
from llamachat.errors import Cancelled, LlamaChatError
from llamachat.session.history import InputHistory
from llamachat.terminal.attention import Attention
from llamachat.terminal.chat_status import short_name, status_of
from llamachat.terminal.chatting import Chat
from llamachat.terminal.columns import set_out, terminal_size
from llamachat.terminal.commands import complete, respond
from llamachat.terminal.commands.hints import hinted
from llamachat.terminal.commands.thoughts import thoughts
from llamachat.terminal.console import REMARKS
from llamachat.terminal.input.message import Typed
from llamachat.terminal.input.reader import InputSettings, line_reader
from llamachat.terminal.messages import quoted
from llamachat.terminal.output import note, wants_colour
from llamachat.terminal.reading_ahead import reading_ahead

TWICE_S = 1.0
"""Two Ctrl+C within this time at the prompt leave."""

PER_RUN = {"tools": "--tools", "chat_template": "--chat-template"}
"""Options that are not kept with a chat, by their names in `Start.typed`."""


class ChatLoop:
    """A chat on a terminal. Ctrl+C stops the answer and keeps it; at the prompt it clears the line, twice it leaves."""

    def __init__(self, chat: Chat, vi: bool = False, attention: Attention | None = None) -> None:
        self._chat, self._attention = chat, attention or Attention()
        self._history = InputHistory(lasting=chat.conversation.store.is_kept)
        settings = InputSettings(
            self._status,
            lambda text: complete(text, chat),
            vi,
            wants_colour(True),
            self._thoughts,
        )
        self._read_line = line_reader(self._history, settings)
        self._warned = False
        self._quits = False
        self._typed = Typed("")
        self._given_back: str | None = None
        chat.give_back = self._give_back
        self._interrupted = float("-inf")

    def run(self, resumed: bool = False, first: str = "") -> None:
        """Chats until the person quits. resumed: an earlier chat, whose end is shown. first: the first message."""
        responder = self._chat.responder
        self._chat.say(f"{responder.model.title}, a context of {responder.context.n_ctx} tokens.")
        self._chat.say("/help lists the commands, Ctrl+D leaves.")
        if resumed:
            self._chat.say("")
            self._chat.recall()
            self._chat.say("")
        elif name := self._chat.conversation.store.summary(self._chat.conversation.chat).name:
            self._chat.say(f"There was no chat named {name}: this one is new.")
        if self._chat.attached:
            names = ", ".join(name for name, _ in self._chat.attached)
            self._chat.say(f"({names}: attached to {'this' if first else 'your next'} message)")
        if first:
            self._chat.say(f"{quoted(first)}\n")
            self._answer(Typed(first, literal=True))
        while not self._quits and (line := self._read()) is not None:
            if line.text.strip():
                self._answer(line)
        with suppress(OSError, LlamaChatError):  # the terminal may be gone, and so may the chat
            self._say_where()

    def _answer(self, line: Typed) -> None:
        """Answers a message or runs a command; an error is shown, and the chat continues."""
        self._typed, before = line, self._chat.last
        try:
            with self._attention.after(lambda: self._new_since(before)):
                self._quits = not respond(line, self._chat)
        except (KeyboardInterrupt, Cancelled):  # before the answer could begin, or a second time
            self._chat.say(f"\n({REMARKS['cancelled']})")
        except (LlamaChatError, OSError) as error:
            self._chat.console.status.clear()
            self._chat.console.output.end_line()
            self._chat.say(f"({hinted(error, self._chat)})")
        if self._quits:
            return
        self._say_given_back()
        self._chat.say("")

    def _new_since(self, before: Answer | None) -> str:
        """The text of the notification of an answer; "" for none, and where the person stopped it."""
        answer = self._chat.current
        if answer is None or answer is before or answer.reason == "cancelled":
            return ""
        return f"{short_name(self._chat.responder.model.title)} has answered"

    def _status(self) -> str:
        """The line below the prompt; the error where the chat cannot be read any more."""
        try:
            return status_of(self._chat)
        except LlamaChatError as error:
            return str(error)

    def _thoughts(self) -> str:
        """What Ctrl+O shows."""
        try:
            return "\n".join(set_out(thoughts(self._chat), terminal_size()[0]))
        except LlamaChatError as error:
            return f"({error})"

    def _give_back(self, text: str) -> None:
        self._given_back = text

    def _say_given_back(self) -> None:
        """Says where a message is that was not answered: in the history, or in the input line if it was not typed."""
        text, self._given_back = self._given_back, None
        if text is None:
            return
        files = len(self._chat.attached)
        stays = {0: "", 1: "; its file stays attached"}.get(files, f"; its {files} files stay attached")
        if text == self._typed.text:
            self._chat.say(f"(arrow up brings your message back{stays})")
        else:
            self._chat.draft = text
            self._chat.say(f"(your message is in the input line again{stays})")

    def _say_where(self) -> None:
        """Says where the chat is kept, and how to continue it."""
        conversation, keeper = self._chat.conversation, self._chat.keeper
        chat, store = conversation.chat, conversation.store
        unused = keeper is not None and keeper.is_unused(chat, self._chat.last is not None)
        if unused or not store.summary(chat).n_messages:
            return
        if not store.is_saved(chat):
            self._chat.say("(this chat was not kept)")
            return
        way = shlex.quote(store.summary(chat).name or str(chat))
        again = [option for name, option in PER_RUN.items() if name in self._chat.start.typed]
        options = f"; give {' and '.join(again)} again" if again else ""
        self._chat.say(f"(kept as chat {chat}: llamachat chat --session {way} continues it{options})")

    def _read(self) -> Typed | None:
        """The next line; None at the end of the input. Ctrl+C clears the line that is being typed."""
        try:
            with reading_ahead(self._chat):
                draft, self._chat.draft = self._chat.draft, ""
                line = self._read_line(draft) if draft else self._read_line()
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
