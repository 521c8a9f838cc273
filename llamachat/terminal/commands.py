"""What a person can say to the program instead of the model: lines that begin with a slash."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from llamachat.terminal.conversation import Conversation


@dataclass(frozen=True)
class Command:
    """A slash command. `run` returns what is to be said, or None to leave the chat."""

    name: str
    help: str
    run: Callable[[Conversation], str | None]


def _clear(conversation: Conversation) -> str:
    conversation.clear()
    return "The conversation starts afresh."


def _help(_conversation: Conversation) -> str:
    keys = "Enter sends, Alt+Enter begins a new line, Ctrl+C stops an answer, Ctrl+D leaves."
    return "\n".join([*(f"{command.name:8}{command.help}" for command in COMMANDS), keys])


COMMANDS = (
    Command("/bye", "leave", lambda _: None),
    Command("/clear", "forget the conversation", _clear),
    Command("/exit", "leave", lambda _: None),
    Command("/help", "show this", _help),
)


def is_command(line: str) -> bool:
    """Whether a line is meant for the program: one word that begins with a slash and has no other (a path has)."""
    word = line.strip()
    return word.startswith("/") and "/" not in word[1:] and len(word.split()) == 1 and len(word) > 1


def run_command(line: str, conversation: Conversation) -> str | None:
    """Runs a command; what is to be said, None to leave. A name that does not exist is said, with the closest one."""
    word = line.strip().lower()
    for command in COMMANDS:
        if command.name == word:
            return command.run(conversation)
    close = get_close_matches(word, [command.name for command in COMMANDS], 1)
    return f"There is no {word}; " + (f"did you mean {close[0]}?" if close else "/help lists the commands.")
