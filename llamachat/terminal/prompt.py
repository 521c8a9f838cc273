"""The line where a person types: prompt_toolkit with a history that lasts, or the plain line of a dumb terminal."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, ThreadedCompleter
from prompt_toolkit.completion import Completion as Shown
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.styles import Style

from llamachat.session.history import InputHistory
from llamachat.terminal.colour import DUMB
from llamachat.terminal.commands.base import Completion
from llamachat.terminal.output import wants_colour
from llamachat.terminal.sanitize import clean_line

PROMPT, CONTINUATION = "> ", "  "
BLOCK = '"""'
"""Opens and closes a message of many lines."""

ESCAPE_S = 0.05
"""How long a lone Esc is waited for to become the beginning of a key; prompt_toolkit's own 0.5 s feels stuck."""

NARROWEST, LOWEST = 40, 10
"""On smaller terminals there is no status line."""

SHIFT_ENTER = ("\x1b[27;2;13~", "\x1b[13;2u", "\x1b[13;5u", "\x1b[27;5;13~")
"""Shift+Enter and Ctrl+Enter, as terminals write them that tell them from Enter."""

STYLE = {"bottom-toolbar": "noreverse", "status": "ansibrightblack", "prompt": "bold"}

ReadLine = Callable[[], str]
"""Returns what was typed; raises KeyboardInterrupt for Ctrl+C and EOFError at the end of the input."""


@dataclass(frozen=True)
class InputSettings:
    """What the line needs of the chat: a quiet status line, what could stand before the cursor, vi keys."""

    status: Callable[[], str] = lambda: ""
    complete: Callable[[str], Iterable[Completion]] = lambda _text: ()
    vi: bool = False


class _LastingHistory(History):
    """prompt_toolkit's view of the input history."""

    def __init__(self, history: InputHistory) -> None:
        super().__init__()
        self._history = history

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._history.load())

    def store_string(self, string: str) -> None:
        self._history.append(string)


class _Completions(Completer):
    """What the chat offers, as prompt_toolkit shows it."""

    def __init__(self, complete: Callable[[str], Iterable[Completion]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Shown]:
        for one in self._complete(document.text_before_cursor):
            yield Shown(clean_line(one.text), -one.start, display_meta=clean_line(one.help))


def line_reader(history: InputHistory, settings: InputSettings | None = None) -> ReadLine:
    r"""What reads the person's messages on this terminal.

    Enter sends; Alt+Enter, Ctrl+J and Shift+Enter begin a new line, as does Enter after a `\` and within a block of
    triple quotes. Up and Down go through earlier inputs, Ctrl+R searches them, Tab completes, Ctrl+X Ctrl+E opens the
    editor. A dumb terminal has no keys: there the terminal's own line is all.
    """
    if os.environ.get("TERM", "dumb") in DUMB:
        return _plain
    session = _session(history, settings or InputSettings())
    return lambda: _message(session.prompt())


def _plain() -> str:
    """Lines of a terminal without keys, up to one that ends the message."""
    text = input(PROMPT)
    while is_open(text):
        text += "\n" + input(CONTINUATION)
    return _message(text)


def is_open(text: str) -> bool:
    r"""Whether a message goes on in the next line: its last line ends with `\`, or a block of triple quotes is open."""
    return text.count(BLOCK) % 2 == 1 if text.lstrip().startswith(BLOCK) else text.endswith("\\")


def _message(text: str) -> str:
    r"""What was typed without the triple quotes around it, and without each `\` at a line's end."""
    stripped = text.strip()
    if stripped.startswith(BLOCK) and stripped.endswith(BLOCK) and len(stripped) >= 2 * len(BLOCK):
        return stripped[len(BLOCK) : -len(BLOCK)].strip("\n")
    return text.replace("\\\n", "\n")


def _session(history: InputHistory, settings: InputSettings) -> PromptSession[str]:
    colour = wants_colour(True)
    session: PromptSession[str] = PromptSession(
        FormattedText([("class:prompt", PROMPT)]),
        history=_LastingHistory(history),
        key_bindings=_keys(),
        prompt_continuation=CONTINUATION,
        multiline=True,
        mouse_support=False,
        completer=ThreadedCompleter(_Completions(settings.complete)),
        complete_while_typing=Condition(lambda: session.default_buffer.text.startswith("/")),
        auto_suggest=AutoSuggestFromHistory(),
        enable_open_in_editor=True,
        enable_suspend=True,
        tempfile_suffix=".md",
        editing_mode=EditingMode.VI if settings.vi else EditingMode.EMACS,
        style=Style.from_dict(STYLE if colour else dict.fromkeys(STYLE, "noreverse")),
        bottom_toolbar=lambda: _toolbar(session, settings.status),
        reserve_space_for_menu=4,
    )
    session.app.ttimeoutlen = ESCAPE_S
    return session


def _toolbar(session: PromptSession[str], status: Callable[[], str]) -> FormattedText | None:
    size = session.app.output.get_size()
    if size.columns < NARROWEST or size.rows < LOWEST:
        return None
    return FormattedText([("class:status", clean_line(status())[: size.columns - 1])])


def _keys() -> KeyBindings:
    for sequence in SHIFT_ENTER:
        ANSI_SEQUENCES[sequence] = (Keys.Escape, Keys.ControlM)
    keys = KeyBindings()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def new_line(event: KeyPressEvent) -> None:
        """Begin a new line."""
        event.current_buffer.insert_text("\n")

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        """Send, unless the message is still open; take a completion that is chosen in the menu."""
        buffer = event.current_buffer
        chosen = buffer.complete_state.current_completion if buffer.complete_state else None
        if chosen is not None:
            buffer.apply_completion(chosen)
        elif is_open(buffer.document.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    return keys
