"""Writes docs/chat.md, the manual of a chat, from its tables of keys, lines, commands and settings.

python tools/make_chat_docs.py [--check]: with --check it writes nothing, and exits with 1 if the file differs.
"""

import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from llamachat.terminal.commands import grouped
from llamachat.terminal.commands.base import Command
from llamachat.terminal.commands.guide import EXAMPLES
from llamachat.terminal.commands.setting_names import SYNONYMS
from llamachat.terminal.commands.settings import SETTINGS
from llamachat.terminal.input.keytable import KEYS, LINES, Key

TARGET = Path(__file__).resolve().parents[1] / "docs" / "chat.md"
WIDTH = 120

HEAD = """# A chat in the terminal

Made by `python tools/make_chat_docs.py` from the program itself; a test compares the two.

`llamachat chat` begins a chat. You type a message and press Enter; the answer appears while it is written. A line that
begins with `/` is a slash command. Everything else is a message for the model, except for the lines below. The options
of `llamachat chat` are in [cli.md](cli.md).
"""

PASTED = """Pasted text, or text from your editor, is a message whatever its lines begin with: `/`, `//` or three
quotes. A long one is shown as one word, `[pasted: 300 lines]`. It is sent whole; Tab opens it, and one Backspace
removes it. Messages that you send while an answer is written are queued: each Enter is one message, lines pasted at
once are one message.
"""

FILES = """`@PATH` in a message attaches the file: its contents are put before the message. A path may be typed or
dropped on the terminal: in quotes, with `\\ ` for a space, or as a `file://` URL. Tab completes it. An attached file
belongs to the chat in which you attached it.
"""

COMMANDS_TEXT = """`N` is a number; arguments in brackets are optional. Arguments that a command does not take are
refused. Names of commands in other programs are redirected, as `/search` to `/sessions WORDS`.
"""

SETTINGS_TEXT = """`/set` shows all settings, `/set NAME` one, `/set NAME VALUE` changes one. The value `default`
restores what the chat began with; `/set default` does so for all. `none` empties a setting of several values. Quotes
keep words together: `/set stop "THE END" STOP`. Changes are saved with the chat and apply again when you resume it,
unless the command line says otherwise. Names may have `-` for `_`.
"""


def manual() -> str:
    """The whole text."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    yield from ["## Keys", ""]
    for heading, keys in KEYS.items():
        yield from [f"**{heading}**", ""]
        yield from _keys(keys)
    yield from [_flat(PASTED), ""]
    yield from ["## Special lines", ""]
    yield from _keys(LINES)
    yield from [_flat(FILES), ""]
    yield from ["## Slash commands", "", _flat(COMMANDS_TEXT), ""]
    for heading, commands in grouped():
        yield from [f"### {heading}", ""]
        for command in commands:
            yield from _command(command)
    yield from ["## Settings", "", _flat(SETTINGS_TEXT), ""]
    for setting in SETTINGS.values():
        others = ", ".join(f"`{name}`" for name, own in SYNONYMS.items() if own == setting.name)
        yield _flat(f"- `{setting.name}`: {setting.help}." + (f" Also {others}." if others else ""), "  ")


def _keys(keys: Iterable[Key]) -> Iterator[str]:
    yield from ["| key | what it does | example |", "| --- | --- | --- |"]
    yield from (f"| {_cell(_key(one.keys))} | {_cell(one.meaning)} | {_cell(one.example)} |" for one in keys)
    yield ""


def _key(text: str) -> str:
    """The keys, as code where they are what is typed."""
    return text if text[0].isalpha() else f"`{text}`"


def _command(command: Command) -> Iterator[str]:
    example = EXAMPLES[command.name]
    usage = f"- `{command.name} {command.arguments}`" if command.arguments else f"- `{command.name}`"
    yield _flat(f"{usage}: {command.help}.", "  ")
    yield "  " + _flat(f"Example: `{example.line}`: {example.meaning}.", "  ")
    yield ""


def _flat(text: str, indent: str = "") -> str:
    """The text in lines that are not too long."""
    return textwrap.fill(" ".join(text.split()), WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Writes or checks the file."""
    text = manual()
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text("utf-8") != text:
            sys.exit(f"{TARGET} is not up to date: run python tools/make_chat_docs.py")
        return
    TARGET.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
