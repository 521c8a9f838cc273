"""The line where a person types: prompt_toolkit with a history that lasts, or the plain line of a dumb terminal."""

import os
from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from llamachat.session.history import InputHistory
from llamachat.terminal.output import wants_colour

PROMPT = "> "

ESCAPE_S = 0.05
"""How long a lone Esc is waited for to become the beginning of a key; prompt_toolkit's own 0.5 s feels stuck."""

ReadLine = Callable[[], str]
"""Returns what was typed; raises KeyboardInterrupt for Ctrl+C and EOFError at the end of the input."""


class _LastingHistory(History):
    """prompt_toolkit's view of the input history."""

    def __init__(self, history: InputHistory) -> None:
        super().__init__()
        self._history = history

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._history.load())

    def store_string(self, string: str) -> None:
        self._history.append(string)


def line_reader(history: InputHistory) -> ReadLine:
    """What reads the person's lines on this terminal.

    Enter sends, Alt+Enter and Ctrl+J begin a new line, Up and Down go through earlier inputs. A dumb terminal has no
    keys: there the terminal's own line is all (prompt_toolkit's line for them does not know Ctrl+D).
    """
    if os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return lambda: input(PROMPT)
    session = _session(history)
    message = FormattedText([("bold" if wants_colour(True) else "", PROMPT)])
    return lambda: session.prompt(message)


def _session(history: InputHistory) -> PromptSession[str]:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def new_line(event: KeyPressEvent) -> None:
        """Begin a new line."""
        event.current_buffer.insert_text("\n")

    session: PromptSession[str] = PromptSession(
        history=_LastingHistory(history), key_bindings=keys, prompt_continuation="  ", mouse_support=False
    )
    session.app.ttimeoutlen = ESCAPE_S
    return session
