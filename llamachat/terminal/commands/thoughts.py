"""/thoughts: what a model thought before an answer, which the screen shows folded."""

from typing import TYPE_CHECKING

from llamachat.dialogue.thoughts import split_thoughts
from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, number_of, saying

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat


def thoughts(chat: "Chat", words: str = "") -> str:
    """The thoughts before the last answer that has some, or before the N-th last one. Raises UsageError for none."""
    number = number_of(words or "1")
    if not number:
        raise UsageError("/thoughts takes a number: 1 is the last answer that has thoughts, 2 the one before")
    found = [thought for message in chat.conversation.path() if message.role == "assistant"
             if (thought := split_thoughts(message.content, chat.conversation.template.source)[0].strip())]  # fmt: skip
    if not found:
        raise UsageError("no answer of this chat has thoughts")
    if number > len(found):
        raise UsageError(f"only {len(found)} answers of this chat have thoughts")
    return found[-number]


COMMANDS = (
    Command("/thoughts", "[N]", "what the model thought before its last answer (or the N-th last)", saying(thoughts)),
)
