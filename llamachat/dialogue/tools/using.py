"""Tools in a conversation: what a model calls is run where a person agrees, and its result is the next message."""

import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from llamachat.dialogue.notices import CallUnreadable, Notice, ToolCalled, ToolReturned
from llamachat.dialogue.sinks import Sink
from llamachat.dialogue.thinking import ends_within
from llamachat.dialogue.tools.call import Call, Reading
from llamachat.dialogue.tools.choice import OWN, Dialect, dialect_of
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.grammar import call_grammar
from llamachat.dialogue.tools.hiding import CallsSink
from llamachat.dialogue.tools.running import missing, run_call, words_of
from llamachat.engine.answering import GenerationOptions
from llamachat.engine.grammar import LazyGrammar
from llamachat.session.chats import StoredMessage

if TYPE_CHECKING:
    from llamachat.dialogue.conversation import Conversation
    from llamachat.engine.tokenizers import Tokenizer


ID_LENGTH = 9
"""Letters and digits of a call's id: Mistral's templates take no other number."""

REFUSED = "error: the person did not allow this call"
STOPPED = "error: the person stopped this call"


class Agreement(IntEnum):
    """What a person answers to a command. ALWAYS: to this tool's commands in this chat from now on."""

    NO = 0
    YES = 1
    ALWAYS = 2


@dataclass
class ToolUse:
    """The tools of a chat, and how its model calls them.

    ask: whether a command, in words, may be run. yes: nobody is asked. agreed: chats and names of tools whose commands
    need no question any more. called: the template's name in messages.
    Raises UsageError for a chat template whose calls cannot be read, and for parameters that no grammar can enforce.
    """

    tools: Sequence[Tool]
    template: str
    ask: Callable[[Sequence[str]], bool | Agreement]
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

    def hiding(self, inner: Sink, tokenizer: "Tokenizer", prompt: Sequence[int]) -> Sink:
        """A sink for the answer to a prompt that passes the answer without its calls."""
        inside = ends_within(self.dialect.thought, tokenizer, prompt)
        return CallsSink(inner, self.dialect, self.dialect.reader(self.tools), tokenizer, inside)

    def follow(
        self, conversation: "Conversation", prompt: Sequence[int], ids: Sequence[int], tell: Callable[[Notice], None]
    ) -> int | None:
        """Runs what the last message of a conversation calls, an answer to the prompt in tokens.

        Returns the message with the last result; None where nothing is called. tell: is given each call and its result.
        """
        head, tokenizer = conversation.head, conversation.tokenizer
        assert head is not None
        spelled = b"".join(tokenizer.piece_bytes(token, special=True) for token in ids)
        inside = ends_within(self.dialect.thought, tokenizer, prompt)
        reading = self.read(spelled.decode("utf-8", "replace"), inside)
        if not self.dialect.written:
            reading = replace(reading, text=spelled.decode("utf-8", "replace"))
        return self._run(conversation, reading, head, tell)

    def read(self, answer: str, inside: bool | None = None) -> Reading:
        """The calls of an answer. inside: it begins within a thought; None where the template says so."""
        return self.dialect.reader(self.tools).read(answer, self.dialect.inside if inside is None else inside)

    def _run(
        self, conversation: "Conversation", reading: Reading, message: int, tell: Callable[[Notice], None]
    ) -> int | None:
        """Runs the calls of `message` and keeps their results after it."""
        if reading.problem:
            tell(CallUnreadable(reading.problem))
        if not reading.calls:
            return None
        numbered = [(_new_id(), call) for call in reading.calls]
        calls = [{"id": number, "type": "function", "function": _function(call)} for number, call in numbered]
        store, chat = conversation.store, conversation.chat
        store.update(message, reading.text, extra={"tool_calls": calls})
        last, waiting = message, numbered
        try:
            while waiting:
                result = self._result(chat, waiting[0][1], tell)
                last, waiting = store.add(chat, last, _message(result, *waiting[0])), waiting[1:]
        except BaseException:  # Ctrl+C, or the end of the program: templates expect a result of every call
            for one in waiting:
                last = store.add(chat, last, _message(STOPPED, *one))
            raise
        return last

    def _result(self, chat: int, call: Call, tell: Callable[[Notice], None]) -> str:
        """Reports a call, asks where a person must agree, runs it."""
        tell(ToolCalled(call.name, call.arguments))
        tool = next((one for one in self.tools if one.name == call.name), None)
        runs = tool is not None and bool(tool.command) and not missing(tool, call)
        if tool is not None and runs and not self._may_run(tool, call, chat):
            return REFUSED
        result = run_call(call, self.tools)
        tell(ToolReturned(result))
        return result

    def _may_run(self, tool: Tool, call: Call, chat: int) -> bool:
        if self.yes or (chat, tool.name) in self.agreed:
            return True
        said = self.ask(words_of(tool, call))
        if said == Agreement.ALWAYS:
            self.agreed.add((chat, tool.name))
        return bool(said)


def _new_id() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(ID_LENGTH))


def _message(result: str, number: str, call: Call) -> StoredMessage:
    """What a call gave, as a message."""
    return StoredMessage(0, None, "tool", result, extra={"name": call.name, "tool_call_id": number})


def _function(call: Call) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}
