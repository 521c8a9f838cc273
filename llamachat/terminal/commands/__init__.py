"""Slash commands: lines for the program instead of the model."""

from typing import TYPE_CHECKING

from llamachat.errors import UsageError
from llamachat.terminal.commands import (
    adapters,
    attaching,
    branches,
    copying,
    keeping,
    looking,
    options,
    set_command,
    thoughts,
    turns,
    why,
)
from llamachat.terminal.commands.attaching import message_with_files
from llamachat.terminal.commands.base import Command, Completion, saying
from llamachat.terminal.commands.guide import EXAMPLES, GROUPS
from llamachat.terminal.commands.other_names import not_known
from llamachat.terminal.commands.shell import MARK, run_shell
from llamachat.terminal.echo import echo_off
from llamachat.terminal.input.keytable import keys_text
from llamachat.terminal.input.message import Typed
from llamachat.terminal.paths import mention_completions

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat


def _help(_chat: "Chat", words: str) -> str:
    if words:
        command = command_of(words if words.startswith("/") else f"/{words}")
        example = EXAMPLES.get(command.name)
        shown = f"\nExample: {example.line} ({example.meaning})" if example is not None else ""
        return f"{command.name} {command.arguments}".strip() + f": {command.help}{shown}"
    parts = [
        "\n".join([f"{heading}:", *(f"  {f'{one.name} {one.arguments}':25}  {one.help}" for one in commands)])
        for heading, commands in grouped()
    ]
    return "\n\n".join([*parts, "? shows the keys. A message that begins with / is sent by doubling it."])


def grouped() -> list[tuple[str, list[Command]]]:
    """The commands under their headings, in the order of the guide."""
    names = {one.name: one for one in COMMANDS}
    found = {heading: [names.pop(name) for name in group if name in names] for heading, group in GROUPS.items()}
    return [(heading, group) for heading, group in [*found.items(), ("Others", list(names.values()))] if group]


def _quit(_chat: "Chat", _words: str) -> bool:
    return False


def _command_names(_chat: "Chat", text: str) -> list[tuple[str, str]]:
    return [(one.name, one.help) for one in COMMANDS if one.name.startswith(text or "/")]


COMMANDS: tuple[Command, ...] = (
    Command("/help", "[COMMAND]", "the commands, or what one of them does", saying(_help), _command_names),
    Command("/?", "[COMMAND]", "the same as /help", saying(_help), _command_names),
    *turns.COMMANDS,
    *attaching.COMMANDS,
    *branches.COMMANDS,
    *why.COMMANDS,
    *thoughts.COMMANDS,
    *set_command.COMMANDS,
    *options.COMMANDS,
    *adapters.COMMANDS,
    *looking.COMMANDS,
    *copying.COMMANDS,
    *keeping.COMMANDS,
    Command("/quit", "", "quit; the chat is kept", _quit),
    Command("/exit", "", "the same as /quit", _quit),
    Command("/bye", "", "the same as /quit", _quit),
)

QUITS = ("exit", "quit")
"""Words that quit when they are typed alone."""

KEYS_MARK, MENU_MARK = "?", "/"


def respond(typed: Typed, chat: "Chat") -> bool:
    """Runs a command, or answers a message. False to quit. Raises as both."""
    text, line = typed.text, typed.text.strip()
    if typed.literal:
        _ask(chat, text)
    elif line.lower() in QUITS:
        return False
    elif line == KEYS_MARK:
        chat.say(keys_text())
    elif line == MENU_MARK or is_command(line):
        return run_command("/help" if line == MENU_MARK else text, chat)
    elif line.startswith(MARK) and not line.startswith(2 * MARK):
        run_shell(chat, line.removeprefix(MARK))
    else:
        try:
            message = message_with_files(chat, text.removeprefix(MARK) if text.startswith(2 * MARK) else text)
        except UsageError:
            if chat.give_back is not None:
                chat.give_back(text)
            raise
        _ask(chat, message)
    return True


def _ask(chat: "Chat", text: str) -> None:
    with echo_off():  # from here on: the next message may be typed before an answer can begin
        chat.ask(text)


def is_command(line: str) -> bool:
    """Whether a line is meant for the program: it begins with one slash and a word that is no path."""
    word = line.strip().split(maxsplit=1)[0] if line.strip() else ""
    return len(word) > 1 and word.startswith("/") and "/" not in word[1:]


def command_of(word: str) -> Command:
    """The command of that name. Raises UsageError with the nearest one."""
    names = {one.name: one for one in COMMANDS}
    if word.lower() in names:
        return names[word.lower()]
    raise not_known(word, names)


def run_command(line: str, chat: "Chat") -> bool:
    """Runs a command; False to quit. Raises UsageError for one that does not exist or whose words are wrong."""
    word, *rest = line.split(maxsplit=1)
    command, words = command_of(word), "".join(rest).strip()
    if words and not command.arguments:
        raise UsageError(f"{command.name} takes no words: type {command.name} alone")
    return command.run(chat, words)


def complete(text: str, chat: "Chat") -> list[Completion]:
    """What could stand before the cursor: a command, a word of its arguments, or a file after an @."""
    if not is_command(text) and text != MENU_MARK:
        return [Completion(found, n_before) for found, n_before in mention_completions(text)]
    if not text.startswith("/") or "\n" in text:
        return []
    word, space, rest = text.partition(" ")
    if not space:
        return [Completion(one.name, len(word), one.help) for one in COMMANDS if one.name.startswith(word.lower())]
    command = next((one for one in COMMANDS if one.name == word.lower()), None)
    if command is None:
        return []
    return [Completion(found, len(rest), meaning) for found, meaning in command.words(chat, rest)]
