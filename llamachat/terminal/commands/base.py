"""What a slash command is, and what completion offers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamachat.engine.answering import GenerationOptions
    from llamachat.terminal.chatting import Chat

MOST_DIGITS, LARGEST = 19, 10**18
"""Of a number that is typed: Python itself refuses to read one of some thousand digits."""

Run = Callable[["Chat", str], bool]
"""Does what the words after the command's name ask for; False quits. Raises UsageError for wrong words."""


@dataclass(frozen=True)
class Command:
    """A slash command. arguments: how they are written; words: what an argument may be, for completion."""

    name: str
    arguments: str
    help: str
    run: Run
    words: Callable[["Chat", str], Iterable[tuple[str, str]]] = lambda _chat, _text: ()


@dataclass(frozen=True)
class Completion:
    """A text that could stand there. start: the number of characters before the cursor that it replaces."""

    text: str
    start: int
    help: str = ""


def saying(tell: Callable[["Chat", str], str]) -> Run:
    """A command that only says something."""

    def run(chat: "Chat", words: str) -> bool:
        chat.say(tell(chat, words))
        return True

    return run


def doing(act: Callable[["Chat", str], None]) -> Run:
    """A command after which the chat continues."""

    def run(chat: "Chat", words: str) -> bool:
        act(chat, words)
        return True

    return run


def number_of(words: str) -> int:
    """The number that a person typed, from 1 on; 0 for anything else. A longer one than any list has is a large one."""
    if not words.isdecimal():
        return 0
    return int(words) if len(words) < MOST_DIGITS else LARGEST


def has_own_grammar(options: "GenerationOptions") -> bool:
    """Whether the person gave a grammar; tools have one, too."""
    if options.grammar is None:
        return False
    from llamachat.engine.grammar import GrammarSource  # 20 ms, which the prompt does not wait for

    return isinstance(options.grammar, GrammarSource)
