"""What a person can say to the program instead of the model: lines that begin with a slash."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

from llamachat.errors import UsageError
from llamachat.terminal.commands import branches, keeping, looking, options, set_command, talk, thoughts, why
from llamachat.terminal.commands.base import Command, Completion, saying
from llamachat.terminal.input.message import Typed
from llamachat.terminal.unseen import typing_unseen

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

KEYS = (
    "Enter sends, Alt+Enter begins a new line, Ctrl+X Ctrl+E opens your editor, Ctrl+R searches what you typed.\n"
    "Ctrl+C stops an answer, Ctrl+O shows what was thought before it, Ctrl+D leaves.\n"
    "A message that begins with / is sent by doubling it."
)


def _help(_chat: "Chat", words: str) -> str:
    if words:
        command = command_of(words if words.startswith("/") else f"/{words}")
        return f"{command.name} {command.arguments}".strip() + f": {command.help}"
    return "\n".join([*(f"{f'{one.name} {one.arguments}':27}{one.help}" for one in COMMANDS), "", KEYS])


def _leave(_chat: "Chat", _words: str) -> bool:
    return False


COMMANDS: tuple[Command, ...] = (
    Command("/help", "[COMMAND]", "show this", saying(_help), lambda _chat, text: [
        (one.name, one.help) for one in COMMANDS if one.name.startswith(text or "/")
    ]),
    *talk.COMMANDS,
    *branches.COMMANDS,
    *why.COMMANDS,
    *thoughts.COMMANDS,
    *set_command.COMMANDS,
    *options.COMMANDS,
    *looking.COMMANDS,
    *keeping.COMMANDS,
    Command("/bye", "", "leave", _leave),
    Command("/exit", "", "leave", _leave),
    Command("/quit", "", "leave", _leave),
)  # fmt: skip


def respond(typed: Typed, chat: "Chat") -> bool:
    """Does what the person typed asks for: runs a command, or answers a message. False to quit. Raises as both."""
    if typed.literal or not is_command(typed.text):
        with typing_unseen():  # from here on: the next message may be typed before an answer can begin
            chat.ask(typed.text)
        return True
    return run_command(typed.text, chat)


def is_command(line: str) -> bool:
    """Whether a line is meant for the program: it begins with one slash and a word that is no path."""
    word = line.strip().split(maxsplit=1)[0] if line.strip() else ""
    return len(word) > 1 and word.startswith("/") and "/" not in word[1:]


def command_of(word: str) -> Command:
    """The command of that name. Raises UsageError with the nearest one."""
    names = {one.name: one for one in COMMANDS}
    if word.lower() in names:
        return names[word.lower()]
    close = get_close_matches(word.lower(), names, 1)
    raise UsageError(f"there is no {word}; " + (f"did you mean {close[0]}?" if close else "/help lists the commands"))


def run_command(line: str, chat: "Chat") -> bool:
    """Runs a command; False to leave. Raises UsageError for one that does not exist or whose words are wrong."""
    word, *rest = line.split(maxsplit=1)
    return command_of(word).run(chat, "".join(rest).strip())


def complete(text: str, chat: "Chat") -> list[Completion]:
    """What could stand before the cursor: a command, or a word of its arguments."""
    if not text.startswith("/") or "\n" in text:
        return []
    word, space, rest = text.partition(" ")
    if not space:
        return [Completion(one.name, len(word), one.help) for one in COMMANDS if one.name.startswith(word.lower())]
    command = next((one for one in COMMANDS if one.name == word.lower()), None)
    if command is None:
        return []
    return [Completion(found, len(rest), told) for found, told in command.words(chat, rest)]
