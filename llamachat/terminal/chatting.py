"""What an open chat is: who speaks, what was said, and how an answer is asked for and kept."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.dialogue.conversation import OF_THE_MESSAGES, Conversation
from llamachat.dialogue.messages import is_cut, parted, shown_before, with_files
from llamachat.dialogue.spoken import spoken
from llamachat.dialogue.thinking import Thinking, thinking_of
from llamachat.dialogue.thoughts import Thought
from llamachat.endings import undisturbed
from llamachat.engine.events import Timings
from llamachat.errors import ContextFull, LlamaChatError, UsageError
from llamachat.session.chats import DONE, INTERRUPTED, ChatStore, StoredMessage
from llamachat.session.fallback import FallbackStore
from llamachat.terminal.autosave import AutosaveSink, KeptAnswer
from llamachat.terminal.chat_status import status_of
from llamachat.terminal.columns import set_out, terminal_size
from llamachat.terminal.echo import echo_off
from llamachat.terminal.fitting import fitted, options_of
from llamachat.terminal.outgrowing import ENDED
from llamachat.terminal.output import note, write
from llamachat.terminal.reasoning import ReasoningView
from llamachat.terminal.responder import Answer, Responder
from llamachat.terminal.start import Start, start_of
from llamachat.terminal.theme import painted
from llamachat.terminal.tools.shown import NO_TOOLS, shown_result, used_tools
from llamachat.terminal.turns import turn_record
from llamachat.terminal.view import PlainView, answer_view

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer
    from llamachat.terminal.keeper import Keeper
    from llamachat.terminal.tools.using import ToolUse

GIVEN_BACK = (type(None), KeyboardInterrupt, LlamaChatError)
"""After these a person may say it again; after others, as signals, the program ends."""


@dataclass(frozen=True)
class ChatSettings:
    """How a chat looks and behaves. on_full: "shift" forgets the oldest turns, "summarize" keeps them in a few
    sentences, "stop" refuses. reasoning: "show", "hide" or "off". plain: answers are raw text.
    """

    on_full: str = "shift"
    reasoning: str = "show"
    plain: bool = False
    verbose: bool = False


@dataclass
class Chat:
    """An open chat. open_model: loads another model by name; last: the last answer, prompt: what it answered,
    answered: the message that it is.

    attached: names and texts that go before the next message. keeper: what is asked before another chat is opened.
    aside: where the program's own words go, if not where the answers do. give_back: takes a message that was not
    answered; without it the message stays in the chat. draft: what the next input begins with.
    """

    responder: Responder
    conversation: Conversation
    manner: ChatSettings = field(default_factory=ChatSettings)
    open_model: Callable[[str], Responder] | None = None
    last: Answer | None = None
    prompt: list[int] = field(default_factory=list)
    answered: int | None = None
    files: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    editor: Callable[[str], str | None] | None = None
    tools: "ToolUse | None" = None
    keeper: "Keeper | None" = None
    aside: Callable[[str], None] | None = None
    give_back: Callable[[str], None] | None = None
    draft: str = ""
    start: Start = field(init=False)

    def __post_init__(self) -> None:
        self.start = start_of(self)

    @property
    def attached(self) -> list[tuple[str, str]]:
        """Names and texts of the files that go before the next message of this chat."""
        return self.files.get(self.conversation.chat, [])

    @attached.setter
    def attached(self, files: list[tuple[str, str]]) -> None:
        self.files[self.conversation.chat] = files

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's."""
        return self.responder.model.tokenizer

    @property
    def status(self) -> str:
        """A quiet line: model, chat, what binds the answers, how full the context is, how fast the last answer was."""
        return status_of(self)

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
    def lacks_tools(self) -> bool:
        """Whether tools were called in the chat, and there are none now."""
        return self.tools is None and used_tools(self.conversation.path())

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

    def say(self, text: str) -> None:
        """Something from the program itself; on a terminal no word is cut."""
        if self.aside is not None:
            self.aside(text)
            return
        if self.responder.output.is_terminal:
            columns = terminal_size()[0]
            text = "\n".join(set_out(text, columns))
        self.responder.output.write(f"{text}\n")

    def recall(self) -> None:
        """Shows the end of the chat so far."""
        path = self.conversation.path()
        if not path:
            others = len(self.conversation.store.tree_of(self.conversation.chat))
            self.say("(an empty chat; /branches shows what was taken back)" if others else "(an empty chat)")
            return
        self.say(f"({len(path)} messages before)" if len(path) > 1 else "(1 message before)")
        for message in path[-2:]:
            self.say("")
            view = answer_view(self.responder.output, self.manner.plain)
            if message.role == "assistant":
                view.write(spoken(message.content, self.conversation.template.source))
            elif message.role == "tool":
                self.say(shown_result(message.content))
            else:
                write(painted("> ", "prompt") if view.draws else "> ")
                self.responder.output.write(f"{message.content}\n")
            view.close()
            self.responder.output.end_line()
        if path[-1].role != "assistant":
            self.say("\n(this has no answer yet: /continue gives one)")
        elif is_cut(path[-1]):
            self.say("\n(this answer was cut: /continue continues it)")
        if self.lacks_tools:
            self.say(f"\n{NO_TOOLS}")

    def ask(self, text: str) -> None:
        """A person's message is answered. Raises as `generate`.

        One that is interrupted before the first word of its answer is given back, if there is where to; else it stays.
        """
        head = self.conversation.head
        self._ask(text, head, head)

    def ask_instead(self, text: str, earlier: StoredMessage) -> None:
        """The same for a message in place of an earlier one, which stays a branch; until then the chat is as it was."""
        self._ask(text, earlier.parent, self.conversation.head)

    def _ask(self, text: str, parent: int | None, head: int | None) -> None:
        """Asks after `parent`; `head` is the last message of the chat before."""
        files, conversation = self.attached, self.conversation
        extra = {"files": len(files)} if files else {}
        question = None
        try:
            with undisturbed():
                question = conversation.ask_after(parent, with_files(files, text), parent == head, **extra)
                self.attached = []
            with conversation.standing_at(question):
                said = self.answer(fitted(self, None), question)
        except BaseException as error:
            if question is not None and conversation.head in (question, head):  # nothing was said
                self._put_back(question, head, error)
                if isinstance(error, ContextFull) and files:
                    raise ContextFull(f"{error}; /file - takes the attached files back") from error
            raise
        if said:
            self._use_tools()
        else:
            self._put_back(question, head)

    def _put_back(self, question: int, head: int | None, error: BaseException | None = None) -> None:
        """A message that was not answered: refused, given back, or kept where the program ends."""
        conversation = self.conversation
        asked = conversation.store.path_to(conversation.chat, question)[-1]
        files, text = parted(asked)
        refused = isinstance(error, ContextFull)
        with undisturbed():
            if not refused:
                conversation.store.update(question, asked.content, INTERRUPTED)
                if self.give_back is None or not isinstance(error, GIVEN_BACK):
                    return
            conversation.store.set_head(conversation.chat, head)
            if refused:
                conversation.store.remove(question)
            self.attached = [*files, *self.attached]
        if self.give_back is not None:
            self.give_back(text)

    def go_on_in(self, chat: int) -> None:
        """Goes on with another chat, or with a copy of it where another program is in it. Raises as `Keeper.take`."""
        from llamachat.terminal.commands.set_command import apply_chosen  # commands are about chats

        if chat == self.conversation.chat:
            return
        if self.keeper is not None:
            chat = self.keeper.change(self.responder, self.conversation.chat, chat, asked=self.last is not None)
        self.conversation.change(chat)
        apply_chosen(self)
        self.conversation.remember(self.responder.context.n_ctx)
        self.last = None

    def begin_new(self) -> None:
        """Continues in a new chat with the same system prompt and settings. Raises as `Keeper.take`."""
        conversation = self.conversation
        kept = {name: value for name, value in conversation.settings.items() if name not in OF_THE_MESSAGES}
        self.go_on_in(conversation.store.create(self.responder.model.title, None, kept))

    def again(self) -> bool:
        """Another answer to the person's last message; the one before stays a branch. False where there is none."""
        asked = [message for message in self.conversation.path() if message.role == "user"]
        if not asked:
            return False
        tree = self.conversation.store.tree_of(self.conversation.chat)
        responder = self.responder
        self.responder = _reseeded(responder, sum(message.parent == asked[-1].id for message in tree))
        try:
            with self.conversation.standing_at(asked[-1].id):
                said = self.answer(fitted(self, None), asked[-1].id)
        finally:
            self.responder = responder
        if said:
            self._went_on(asked[-1])
        return True

    def answer_otherwise(self, prompt: list[int], begun: Sequence[int]) -> None:
        """The last answer, begun with these tokens; the one before stays a branch."""
        parent = self.conversation.path()[-1].parent
        assert parent is not None
        with self.conversation.standing_at(parent):
            said = self.answer(prompt, parent, begun)
        if said:
            self._use_tools()

    def continue_answer(self) -> None:
        """The last answer continues where it was cut; a message that has none is answered. Raises UsageError."""
        path = self.conversation.path()
        last = path[-1] if path else None
        if last is None or (last.role == "assistant" and (last.parent is None or not is_cut(last))):
            raise UsageError("there is no answer that was cut: /regen gives another one")
        if last.role != "assistant":
            said = self.answer(fitted(self, None), last.id)
        else:
            parent = last.parent or 0
            with self.conversation.standing_at(parent):
                prompt = fitted(self, None, partial(self.begun_of, answer=last))
                said = self.answer(prompt, parent, self.begun_of(prompt, last), last)
        if said:
            self._went_on(last)

    def _went_on(self, last: StoredMessage) -> None:
        """A message that was interrupted has its answer now."""
        if last.role == "user" and last.state != DONE:
            self.conversation.store.update(last.id, last.content, DONE)
        self._use_tools()

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
        skipped = 0 if before is None or thinking.markers is not None else shown_before(before.content)
        shown = self._view(thinking)
        if self.tools is not None:
            shown = self.tools.view(shown, self.tokenizer, tokens)
        view = AutosaveSink(shown, kept, thinking, len(begun), skipped)
        responder = replace(self.responder, options=options_of(self, tokens), output=view)  # type: ignore[arg-type]
        if view.is_terminal and self.aside is None:
            self.responder.output.write("\n")
        try:
            with echo_off():
                answer = responder.speak([*tokens, *begun], len(begun))
            answer = replace(answer, text=view.text)
            said = len(answer.ids) > len(begun) or answer.reason != "cancelled"
            if said:
                record = turn_record(self.responder, conversation.template.name or "", answer)
                kept.keep(answer.text, INTERRUPTED if answer.reason == "cancelled" else DONE, record)
                self._answered(answer, tokens, kept)
        except BaseException:
            view.interrupt()
            if kept.message is not None and view.has_words:
                self._answered(Answer(view.text, view.ids, "cancelled", Timings()), tokens, kept)
            with suppress(OSError):  # the terminal may be gone
                view.close()
            raise
        view.close()
        self._finish(answer)
        return said

    def _answered(self, answer: Answer, prompt: list[int], kept: KeptAnswer) -> None:
        self.last, self.prompt, self.answered = answer, prompt, kept.message

    def _use_tools(self) -> None:
        """Runs what the last answer calls and lets the model continue with what that gave."""
        from llamachat.terminal.tools.using import MOST_ROUNDS

        for _ in range(MOST_ROUNDS):
            if self.tools is None or self.last is None or self.last.reason == "cancelled":
                return
            last = self.tools.follow(self, self.last)
            if last is None or not self.answer(fitted(self, None), last):
                return
        self.say(f"(stopped: {MOST_ROUNDS} answers in a row have called tools)")

    def _finish(self, answer: Answer) -> None:
        """What is said below an answer."""
        from llamachat.terminal.responder import REMARKS

        n_forgotten = answer.timings.n_forgotten
        if n_forgotten:
            self.say(f"(the context became full: {n_forgotten} older tokens were forgotten within this answer)")
        if self.manner.verbose:
            self.responder.report(answer)
        elif answer.reason == "context" and self.manner.on_full != "stop":
            self.say(ENDED.format(n_ctx=self.responder.context.n_ctx))
        elif answer.reason in REMARKS:
            self.say(f"({REMARKS[answer.reason]})")

    def _view(self, thinking: Thinking) -> PlainView:
        view = answer_view(self.responder.output, self.manner.plain)
        if thinking.markers is None or (self.manner.plain and self.manner.reasoning == "show"):
            return view
        thought = Thought(thinking.markers, thinking.inside)
        key = " (Ctrl+O shows it)" if self.aside is None else ""
        return ReasoningView(view, thought, hide=self.manner.reasoning == "hide", spelled=thinking.spelled, key=key)


def _reseeded(responder: Responder, n: int) -> Responder:
    """With the n-th seed after the one that was given, so that another answer is one."""
    sampling = responder.options.sampling
    if sampling.seed < 0:
        return responder
    return replace(responder, options=replace(responder.options, sampling=replace(sampling, seed=sampling.seed + n)))


def open_store(find: Callable[[], Path] | None) -> ChatStore:
    """The database of chats, where `find` says. Where it cannot be opened or written, chats continue in memory, which
    is said once. None: nothing is kept.
    """
    try:
        return FallbackStore(find(), note) if find is not None else ChatStore(None)
    except LlamaChatError as error:
        note(f"{error}; this chat is not kept")
        return ChatStore(None)
