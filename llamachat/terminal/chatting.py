"""A chat on a terminal: a dialogue, and where its answers and the program's own words go."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from llamachat.dialogue.dialogue import Dialogue
from llamachat.dialogue.messages import is_cut
from llamachat.dialogue.notices import Notice
from llamachat.dialogue.responder import Answer, Responder
from llamachat.dialogue.sinks import Sink
from llamachat.dialogue.thinking import Thinking
from llamachat.dialogue.thoughts import without_thoughts
from llamachat.engine.events import Event
from llamachat.errors import LlamaChatError
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.fallback import FallbackStore
from llamachat.terminal.answer_sinks import Unrepeated, answer_sink
from llamachat.terminal.chat_settings import ChatSettings, Start, start_of
from llamachat.terminal.columns import set_out, terminal_size
from llamachat.terminal.console import REMARKS, Console, report
from llamachat.terminal.echo import echo_off
from llamachat.terminal.messages import shown_before
from llamachat.terminal.notices import sentence_of
from llamachat.terminal.outgrowing import ENDED
from llamachat.terminal.output import note, write
from llamachat.terminal.sanitize import clean_line
from llamachat.terminal.theme import painted
from llamachat.terminal.tools.shown import NO_TOOLS, shown_result, used_tools
from llamachat.terminal.view import answer_view


@dataclass
class Chat(Dialogue):
    """An open chat on a terminal, or in a pipe.

    open_model: loads another model by name. aside: where the program's own words go, if not where the answers do.
    draft: what the next input begins with. start: the settings before /set changed any.
    """

    settings: ChatSettings = field(default_factory=ChatSettings)
    console: Console = field(default_factory=Console)
    open_model: Callable[[str], Responder] | None = None
    editor: Callable[[str], str | None] | None = None
    aside: Callable[[str], None] | None = None
    draft: str = ""
    start: Start = field(init=False)

    def __post_init__(self) -> None:
        self.start = start_of(self.responder, self.settings)

    @property
    def lacks_tools(self) -> bool:
        """Whether tools were called in the chat, and there are none now."""
        return self.tools is None and used_tools(self.conversation.path())

    def say(self, text: str) -> None:
        """Shows a text of the program; on a terminal no word is cut."""
        if self.aside is not None:
            self.aside(text)
            return
        if self.console.output.is_terminal:
            columns = terminal_size()[0]
            text = "\n".join(set_out(text, columns))
        self.console.output.write(f"{text}\n")

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
            self._show(message)
        if path[-1].role != "assistant":
            self.say("\n(this has no answer yet: /continue gives one)")
        elif is_cut(path[-1]):
            self.say("\n(this answer was cut: /continue continues it)")
        if self.lacks_tools:
            self.say(f"\n{NO_TOOLS}")
        if said := self._other_adapters(path):
            self.say(f"\n{said}")

    def _other_adapters(self, path: Sequence[StoredMessage]) -> str:
        """What is to be known where the last answer was written with adapters that the model does not have now."""
        answer = next((one for one in reversed(path) if one.role == "assistant"), None)
        had = answer.extra.get("adapters") if answer is not None else None
        if not isinstance(had, str) or had == self.responder.model.adapters.asked.kept:
            return ""
        return f"(the last answer was written with {clean_line(had)}; adapters are not kept: /lora FILE SCALE adds one)"

    def _show(self, message: StoredMessage) -> None:
        output = self.console.output
        view = answer_view(output, self.settings.plain)
        if message.role == "assistant":
            view.event(Event(without_thoughts(message.content, self.conversation.template.source)))
        elif message.role == "tool":
            self.say(shown_result(message.content))
        else:
            write("> " if view is output else painted("> ", "prompt"))
            output.write(f"{message.content}\n")
        view.close()
        output.end_line()

    def tell(self, notice: Notice) -> None:
        """Says it."""
        self.say(sentence_of(notice))

    def sink(self, prompt: list[int], thinking: Thinking, before: StoredMessage | None) -> Sink:
        """The screen, below an empty line; calls of tools and what is there already are not shown."""
        output = self.console.output
        shown = answer_sink(output, self.settings, thinking, " (Ctrl+O shows it)" if self.aside is None else "")
        if self.tools is not None:
            shown = self.tools.hiding(shown, self.tokenizer, prompt)
        if before is not None and thinking.markers is None:
            shown = Unrepeated(shown, shown_before(before.content))
        if output.is_terminal and self.aside is None:
            output.write("\n")
        return shown

    def answering(self) -> AbstractContextManager[None]:
        """What is typed meanwhile waits for the next line and is not shown."""
        return echo_off()

    def finished(self, answer: Answer) -> None:
        """Shows below an answer what was forgotten within it, and why it ended if the model did not end it."""
        n_forgotten = answer.timings.n_forgotten
        if n_forgotten:
            self.say(f"(the context became full: {n_forgotten} older tokens were forgotten within this answer)")
        if self.settings.verbose:
            report(answer, self.responder)
        elif answer.reason == "context" and self.settings.on_full != "stop":
            self.say(ENDED.format(n_ctx=self.responder.context.n_ctx))
        elif answer.reason in REMARKS:
            self.say(f"({REMARKS[answer.reason]})")


def open_store(find: Callable[[], Path] | None) -> ChatStore:
    """The database of chats, where `find` says. Where it cannot be opened or written, chats continue in memory, which
    is said once. None: nothing is kept.
    """
    try:
        return FallbackStore(find(), note) if find is not None else ChatStore(None)
    except LlamaChatError as error:
        note(f"{error}; this chat is not kept")
        return ChatStore(None)
