"""What a chat is while it goes on: who speaks, what was said, and how an answer is asked for and kept."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.engine.events import Event
from llamachat.errors import ContextFull, UsageError
from llamachat.session.chats import DONE, INTERRUPTED, PARTIAL, ChatStore, StoredMessage
from llamachat.session.database import StoreUnavailable
from llamachat.session.steady import SteadyStore
from llamachat.terminal.columns import set_out, terminal_size
from llamachat.terminal.conversation import Conversation
from llamachat.terminal.fitting import fitted, options_of
from llamachat.terminal.output import note
from llamachat.terminal.reasoning import ReasoningView, Thought
from llamachat.terminal.speaker import Answer, Speaker
from llamachat.terminal.spoken import spoken
from llamachat.terminal.thinking import Thinking, thinking_of
from llamachat.terminal.turns import turn_record
from llamachat.terminal.unseen import typing_unseen
from llamachat.terminal.view import PlainView, answer_view

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer
    from llamachat.terminal.keeper import Keeper
    from llamachat.terminal.tools.using import ToolUse

KEEP_S = 0.9
"""A partial answer is kept so often; with the tenth of a second until it is noticed that it is time: once a second."""


@dataclass(frozen=True)
class Manner:
    """How a chat looks and behaves. on_full: "shift" forgets the oldest turns, "summarize" keeps them in a few
    sentences, "stop" refuses. reasoning: "show", "hide" or "off". plain: answers are raw text.
    """

    on_full: str = "shift"
    reasoning: str = "show"
    plain: bool = False
    verbose: bool = False


class KeepingView(PlainView):
    """Another view; what passes is kept in the store, at least once a second."""

    def __init__(self, inner: PlainView, store: ChatStore, message: int, thinking: Thinking) -> None:
        self._inner, self._store, self._message, self._thinking = inner, store, message, thinking
        self.is_terminal = inner.is_terminal
        self._text, self._kept, self._stale = "", time.monotonic(), False

    @property
    def text(self) -> str:
        """All that has passed, with the markers of its thoughts."""
        return self._thinking.whole(self._text)

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free."""
        self._text += self._thinking.text_of(event)
        self._stale = True
        self._inner.event(event)
        self._keep()

    def write(self, text: str) -> None:
        """Takes a piece."""
        self._inner.write(text)

    def idle(self) -> None:
        """Nothing has come for a while."""
        self._inner.idle()
        self._keep()

    def end_line(self) -> None:
        """Writes a line break, unless there is one."""
        self._inner.end_line()

    def close(self) -> None:
        """The end of the answer."""
        self._inner.close()

    def _keep(self) -> None:
        if self._stale and time.monotonic() - self._kept >= KEEP_S:
            self._store.update(self._message, self.text, PARTIAL)
            self._kept, self._stale = time.monotonic(), False


@dataclass
class Chat:
    """A chat that goes on. open_model: loads another model by name; last: the last answer, prompt: what it answered,
    answered: the message that it is.

    attached: names and texts that go before the next message. keeper: what is asked before it goes on in another chat.
    aside: where the program's own words go, if not where the answers do.
    """

    speaker: Speaker
    conversation: Conversation
    manner: Manner = field(default_factory=Manner)
    open_model: Callable[[str], Speaker] | None = None
    last: Answer | None = None
    prompt: list[int] = field(default_factory=list)
    answered: int | None = None
    attached: list[tuple[str, str]] = field(default_factory=list)
    editor: Callable[[str], str | None] | None = None
    tools: "ToolUse | None" = None
    keeper: "Keeper | None" = None
    aside: Callable[[str], None] | None = None

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's."""
        return self.speaker.model.tokenizer

    @property
    def status(self) -> str:
        """A quiet line: how full the context is, how fast the last answer was, which chat and template."""
        used, size = len(self.speaker.context.tokens), self.speaker.context.n_ctx
        parts = [f"{used} of {size} tokens"]
        if self.last is not None and self.last.timings.generation_s > 0 and self.last.timings.n_generated > 1:
            parts.append(f"{(self.last.timings.n_generated - 1) / self.last.timings.generation_s:.0f} tokens/s")
        summary = self.conversation.store.summary(self.conversation.chat)
        parts += [name for name in (summary.name, self.conversation.template.name) if name]
        return " · ".join(parts)

    def say(self, text: str) -> None:
        """Something from the program itself; on a terminal no word is cut."""
        if self.aside is not None:
            self.aside(text)
            return
        if self.speaker.output.is_terminal:
            columns = terminal_size()[0]
            text = "\n".join(set_out(text, columns))
        self.speaker.output.write(f"{text}\n")

    def recall(self) -> None:
        """Shows the end of the talk so far."""
        path = self.conversation.path()
        if not path:
            self.say("(an empty chat)")
            return
        self.say(f"({len(path)} messages before)" if len(path) > 1 else "(1 message before)")
        for message in path[-2:]:
            view = answer_view(self.speaker.output, self.manner.plain)
            said = spoken(message.content, self.conversation.template.source)
            view.write(said if message.role == "assistant" else f"> {message.content}\n")
            view.close()
            self.speaker.output.end_line()

    def ask(self, text: str) -> None:
        """A person's message is answered. One that was not read to its end is taken back. Raises as `generate`."""
        text = with_files(self.attached, text)
        try:
            tokens = fitted(self, text)
        except ContextFull as error:
            if not self.attached:
                raise
            raise ContextFull(f"{error}; /file - takes the attached files back") from error
        self.attached = []
        before, said = self.conversation.head, False
        question = self.conversation.ask(text)
        try:
            said = self.answer(tokens, question)
        finally:
            if not said:
                self.conversation.store.set_head(self.conversation.chat, before)
                self.conversation.store.remove(question)
        if said:
            self._use_tools()

    def go_on_in(self, chat: int) -> None:
        """Goes on with another chat, or with a copy of it where another program is in it. Raises as `Keeper.take`."""
        if chat == self.conversation.chat:
            return
        if self.keeper is not None:
            chat = self.keeper.change(self.speaker, self.conversation.chat, chat, asked=self.last is not None)
        self.conversation.change(chat)
        self.conversation.remember(self.speaker.context.n_ctx)
        self.last = None

    def again(self) -> bool:
        """Another answer to the person's last message; the one before stays a branch. False where there is none."""
        path = self.conversation.path()
        asked = [message for message in path if message.role == "user"]
        if not asked:
            return False
        head, store, chat = self.conversation.head, self.conversation.store, self.conversation.chat
        store.set_head(chat, asked[-1].id)
        n_before = sum(message.parent == asked[-1].id for message in store.tree_of(chat))
        speaker, said = self.speaker, False
        self.speaker = _reseeded(speaker, n_before)
        try:
            said = self.answer(fitted(self, None), asked[-1].id)
        finally:
            self.speaker = speaker
            if not said:
                store.set_head(chat, head)
        if said:
            self._use_tools()
        return True

    def answer_otherwise(self, begun: Sequence[int]) -> None:
        """The last answer, begun with these tokens; the one before stays a branch. Raises UsageError where it is no
        longer the end of the talk.
        """
        path = self.conversation.path()
        if len(path) < 2 or path[-1].id != self.answered:
            raise UsageError("the last answer is not the end of the talk any more")
        said = False
        try:
            said = self.answer(self.prompt, path[-2].id, begun)
        finally:
            if not said:
                self.conversation.store.set_head(self.conversation.chat, path[-1].id)
        if said:
            self._use_tools()

    def answer(self, tokens: list[int], parent: int, begun: Sequence[int] = ()) -> bool:
        """Writes the answer to a prompt and keeps it after `parent`; False where nothing was said.

        begun: the first tokens of the answer, which are given.
        """
        store, chat = self.conversation.store, self.conversation.chat
        message = store.add(chat, parent, StoredMessage(0, None, "assistant", "", PARTIAL))
        thinking = thinking_of(self.conversation.template.source, self.tokenizer, tokens)
        view = KeepingView(self._view(thinking), store, message, thinking)
        answer = None
        try:
            speaker = replace(self.speaker, options=options_of(self, tokens), output=view)  # type: ignore[arg-type]
            with typing_unseen():
                answer = speaker.speak([*tokens, *begun], len(begun))
        finally:
            view.close()
            if answer is None or not (answer.ids or answer.reason != "cancelled"):
                store.set_head(chat, parent)
                store.remove(message)
        if not (answer.ids or answer.reason != "cancelled"):
            self._finish(answer)
            return False
        self.last, self.prompt, self.answered = replace(answer, text=view.text), tokens, message
        state = INTERRUPTED if answer.reason == "cancelled" else DONE
        template = self.conversation.template.name or ""
        store.update(message, self.last.text, state, turn_record(self.speaker, template, self.last))
        self._finish(answer)
        return True

    def _use_tools(self) -> None:
        """Runs what the last answer calls and lets the model go on with what that gave."""
        from llamachat.terminal.tools.using import MOST_ROUNDS

        for _ in range(MOST_ROUNDS):
            if self.tools is None or self.last is None or self.last.reason == "cancelled":
                return
            spelled = b"".join(self.tokenizer.piece_bytes(token, special=True) for token in self.last.ids)
            head = self.conversation.head
            assert head is not None
            last = self.tools.results(self, spelled.decode("utf-8", "replace"), head)
            if last is None or not self.answer(fitted(self, None), last):
                return
        self.say(f"(stopped: {MOST_ROUNDS} answers in a row have called tools)")

    def _finish(self, answer: Answer) -> None:
        """What is said below an answer."""
        from llamachat.terminal.speaker import REMARKS

        n_forgotten = answer.timings.n_forgotten
        if n_forgotten:
            self.say(f"(the context became full: {n_forgotten} older tokens were forgotten within this answer)")
        if self.manner.verbose:
            self.speaker.report(answer)
        elif answer.reason in REMARKS:
            self.say(f"({REMARKS[answer.reason]})")

    def _view(self, thinking: Thinking) -> PlainView:
        view = answer_view(self.speaker.output, self.manner.plain)
        if thinking.markers is None or (self.manner.plain and self.manner.reasoning == "show"):
            return view
        thought = Thought(thinking.markers, thinking.inside)
        return ReasoningView(view, thought, hide=self.manner.reasoning == "hide", spelled=thinking.spelled)


def with_files(files: Sequence[tuple[str, str]], text: str) -> str:
    """A message with the files before it; a file's fences are longer than any within it."""
    parts = []
    for name, content in files:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", content)), default=0))
        parts.append(f"File {name}:\n{fence}\n{content}\n{fence}\n\n")
    return "".join(parts) + text


def _reseeded(speaker: Speaker, n: int) -> Speaker:
    """With the n-th seed after the one that was given, so that another answer is one."""
    sampling = speaker.options.sampling
    if sampling.seed < 0:
        return speaker
    return replace(speaker, options=replace(speaker.options, sampling=replace(sampling, seed=sampling.seed + n)))


def open_store(path: Path | None) -> ChatStore:
    """The database of chats; where it cannot be had, or written, chats go on without being kept, which is said once."""
    try:
        return SteadyStore(path, note) if path is not None else ChatStore(None)
    except StoreUnavailable as error:
        note(f"{error}; this chat is not kept")
        return ChatStore(None)
