"""Tools in a chat: what a model calls is shown, run when the person agrees, and given to the model."""

import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llamachat.dialogue.thinking import ends_within
from llamachat.dialogue.tools.call import Call, Reading
from llamachat.dialogue.tools.choice import OWN, Dialect, dialect_of
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.grammar import call_grammar
from llamachat.dialogue.tools.running import missing, run_call, words_of
from llamachat.engine.answering import GenerationOptions
from llamachat.engine.grammar import LazyGrammar
from llamachat.session.chats import StoredMessage
from llamachat.terminal.tools.agreement import Agreement, question_of, visible
from llamachat.terminal.tools.shown import shown_call, shown_result
from llamachat.terminal.tools.view import CallsView
from llamachat.terminal.view import PlainView

if TYPE_CHECKING:
    from llamachat.engine.tokenizers import Tokenizer
    from llamachat.terminal.chatting import Chat
    from llamachat.terminal.responder import Answer

MOST_ROUNDS = 8
"""So many answers in a row may call tools."""

ID_LENGTH = 9
"""Letters and digits of a call's id: Mistral's templates take no other number."""

REFUSED = "error: the person did not allow this call"
STOPPED = "error: the person stopped this call"


@dataclass
class ToolUse:
    """The tools of a chat, and how its model calls them. ask: whether a command may be run; yes: nobody is asked.

    agreed: chats and names of tools whose commands need no question any more. called: what messages call the template.
    Raises UsageError for a chat template whose calls cannot be read, and for parameters that no grammar can enforce.
    """

    tools: Sequence[Tool]
    template: str
    ask: Callable[[str], bool | Agreement]
    yes: bool = False
    agreed: set[tuple[int, str]] = field(default_factory=set)
    called: str = OWN
    dialect: Dialect = field(init=False)

    def __post_init__(self) -> None:
        self.dialect = dialect_of(self.template, self.tools, self.called)
        self.grammar()

    def grammar(self) -> LazyGrammar:
        """What calls must be, once they begin."""
        return call_grammar(self.dialect, self.tools)

    def described(self) -> list[dict[str, Any]]:
        """The tools as the template wants them."""
        return [tool.described for tool in self.tools]

    def begun(self, options: GenerationOptions, tokenizer: "Tokenizer", prompt: Sequence[int]) -> GenerationOptions:
        """The options for an answer to a prompt: where it begins within a thought the grammar of calls sleeps."""
        if not isinstance(options.grammar, LazyGrammar):
            return options
        inside = ends_within(self.dialect.thought, tokenizer, prompt)
        return replace(options, grammar=options.grammar.begun(inside))

    def view(self, inner: PlainView, tokenizer: "Tokenizer", prompt: Sequence[int]) -> PlainView:
        """A view of an answer to a prompt, in which its calls are not shown as they are written."""
        return CallsView(inner, self, tokenizer, ends_within(self.dialect.thought, tokenizer, prompt))

    def follow(self, chat: "Chat", answer: "Answer") -> int | None:
        """`results` of the answer that a chat has just kept as its last message."""
        head, tokenizer = chat.conversation.head, chat.tokenizer
        assert head is not None
        spelled = b"".join(tokenizer.piece_bytes(token, special=True) for token in answer.ids)
        inside = ends_within(self.dialect.thought, tokenizer, chat.prompt)
        return self.results(chat, spelled.decode("utf-8", "replace"), head, inside)

    def read(self, answer: str, inside: bool | None = None) -> Reading:
        """The calls of an answer. inside: it begins within a thought; None where the template says so."""
        return self.dialect.reader(self.tools).read(answer, self.dialect.inside if inside is None else inside)

    def results(self, chat: "Chat", answer: str, message: int, inside: bool | None = None) -> int | None:
        """Runs the calls of an answer and keeps what they gave; the last message then, None where nothing is called.

        answer: with its control tokens spelled out. inside: as `read`.
        """
        reading = self.read(answer, inside)
        if reading.problem:
            chat.say(visible(f"(not run: {reading.problem})"))
        if not reading.calls:
            return None
        numbered = [(_new_id(), call) for call in reading.calls]
        calls = [{"id": number, "type": "function", "function": _function(call)} for number, call in numbered]
        store, number = chat.conversation.store, chat.conversation.chat
        store.update(message, reading.text if self.dialect.written else answer, extra={"tool_calls": calls})
        last, waiting = message, numbered
        try:
            while waiting:
                result = self._result(chat, waiting[0][1])
                last, waiting = store.add(number, last, _told(result, *waiting[0])), waiting[1:]
        except BaseException:  # Ctrl+C, or the end of the program: templates expect a result of every call
            for one in waiting:
                last = store.add(number, last, _told(STOPPED, *one))
            raise
        return last

    def _result(self, chat: "Chat", call: Call) -> str:
        """Shows a call, asks where that is due, runs it."""
        chat.say(shown_call(call.name, call.arguments))
        tool = next((one for one in self.tools if one.name == call.name), None)
        runs = tool is not None and bool(tool.command) and not missing(tool, call)
        if tool is not None and runs and not self._may_run(tool, call, chat.conversation.chat):
            return REFUSED
        result = run_call(call, self.tools)
        chat.say(shown_result(result))
        return result

    def _may_run(self, tool: Tool, call: Call, chat: int) -> bool:
        if self.yes or (chat, tool.name) in self.agreed:
            return True
        said = self.ask(question_of(words_of(tool, call)))
        if said == Agreement.ALWAYS:
            self.agreed.add((chat, tool.name))
        return bool(said)


def _new_id() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(ID_LENGTH))


def _told(result: str, number: str, call: Call) -> StoredMessage:
    """What a call gave, as a message."""
    return StoredMessage(0, None, "tool", result, extra={"name": call.name, "tool_call_id": number})


def _function(call: Call) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}
