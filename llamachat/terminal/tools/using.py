"""Tools in a chat: what a model calls is shown, run when the person agrees, and told to the model."""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamachat.engine.grammar import GrammarSource, LazyGrammar
from llamachat.errors import UsageError
from llamachat.session.chats import StoredMessage
from llamachat.terminal.sanitize import clean_line
from llamachat.terminal.tools.definition import Tool
from llamachat.terminal.tools.formats import Call, CallFormat, format_of, supports_tools
from llamachat.terminal.tools.running import run_call, words_of
from llamachat.terminal.unseen import forget_typed

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

MOST_ROUNDS = 8
"""So many answers in a row may call tools."""

REFUSED = "error: the person did not allow this call"
STOPPED = "error: the person stopped this call"


@dataclass
class ToolUse:
    """The tools of a chat, and how its model calls them. ask: whether a command may be run; yes: nobody is asked."""

    tools: Sequence[Tool]
    template: str
    ask: Callable[[str], bool]
    yes: bool = False
    format: CallFormat = field(init=False)

    def __post_init__(self) -> None:
        if not supports_tools(self.template):
            raise UsageError(
                "--tools: this model's chat template knows of no tools; give another one (--chat-template)"
            )
        self.format = format_of(self.template)
        self.grammar()

    def grammar(self) -> LazyGrammar:
        """What calls must be, once they begin. Raises UsageError for parameters that cannot be enforced."""
        source = GrammarSource.json_schema(json.dumps(self.format.schema(self.tools)), "--tools")
        return LazyGrammar(source, self.format.mark, self.format.at_start)

    def described(self) -> list[dict[str, Any]]:
        """As the template is told."""
        return [tool.described for tool in self.tools]

    def results(self, chat: "Chat", answer: str, message: int) -> int | None:
        """Runs the calls of an answer and keeps what they gave; the last message then, None where nothing is called."""
        reading = self.format.read(answer)
        if reading.problem:
            chat.say(f"(not run: {reading.problem})")
        if not reading.calls:
            return None
        numbered = [(f"call{secrets.token_hex(4)}", call) for call in reading.calls]
        calls = [{"id": number, "type": "function", "function": _function(call)} for number, call in numbered]
        store, number = chat.conversation.store, chat.conversation.chat
        store.update(message, reading.text, extra={"tool_calls": calls})
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
        arguments = ", ".join(
            f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items()
        )
        chat.say(clean_line(f"-> {call.name}({arguments})"))
        tool = next((one for one in self.tools if one.name == call.name), None)
        if tool is not None and tool.command and not self.yes:
            shown = clean_line(" ".join(words_of(tool, call)))
            if not self.ask(f"Run {shown!r}? [y/N] "):
                return REFUSED
        result = run_call(call, self.tools)
        chat.say(clean_line(f"<- {result}")[:200])
        return result


def _told(result: str, number: str, call: Call) -> StoredMessage:
    """What a call gave, as a message."""
    return StoredMessage(0, None, "tool", result, extra={"name": call.name, "tool_call_id": number})


def _function(call: Call) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}


def asked(question: str) -> bool:
    """Whether the person agrees, on the terminal. What was typed before the question is no answer to it."""
    forget_typed()
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False
