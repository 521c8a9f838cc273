"""The line where a person types: prompt_toolkit with a history that lasts, or the plain line of a dumb terminal."""

import errno
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, to_filter
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Attrs, Style

from llamachat.session.history import InputHistory
from llamachat.terminal.input.ahead import take_typed
from llamachat.terminal.input.completion import ChatCompleter, LastingHistory
from llamachat.terminal.input.keys import input_keys
from llamachat.terminal.input.labels import has_room, prompt_text, shortened
from llamachat.terminal.input.message import unquoted
from llamachat.terminal.input.plain import CONTINUATION, PlainReader
from llamachat.terminal.input.settings import InputSettings as InputSettings
from llamachat.terminal.restore import is_dumb, kept_terminal
from llamachat.terminal.sanitize import clean_line

ESCAPE_S = 0.05
"""How long a lone Esc is waited for to become the beginning of a key; prompt_toolkit's own 0.5 s feels stuck."""

MENU_ROWS = 4

COLOURED = {"bottom-toolbar": "noreverse ansibrightblack", "prompt": "bold", "auto-suggestion": "ansibrightblack"}
PALE = {
    "bottom-toolbar": "noreverse",
    # A suggestion must not look like something typed, with or without colour.
    "auto-suggestion": "noinherit dim" if "dim" in Attrs._fields else "noinherit italic",
}

ReadLine = Callable[[], str]
"""Returns what was typed; raises KeyboardInterrupt for Ctrl+C and EOFError at the end of the input."""


def line_reader(history: InputHistory, settings: InputSettings | None = None) -> ReadLine:
    """What reads the person's messages on this terminal."""
    settings = settings or InputSettings()
    return PlainReader(settings) if is_dumb() else LineReader(history, settings)


class LineReader:
    """Reads messages with the keys of `keys.py`, and those of emacs or vi.

    Up and Down go through earlier inputs that begin as this one, Ctrl+R searches them, the right arrow takes the one
    that is suggested. Tab completes; while typing, only commands are. Calling it raises KeyboardInterrupt for Ctrl+C
    and EOFError for Ctrl+D on an empty line, or when the terminal is gone.
    """

    def __init__(self, history: InputHistory, settings: InputSettings) -> None:
        self._settings = settings
        self._name = self._status = ""
        self._session = self._opened(history)

    def __call__(self) -> str:
        """The next message."""
        self._name, self._status = self._settings.prompt(), clean_line(self._settings.status())
        try:
            with kept_terminal():
                take_typed(self._session.input)
                return unquoted(self._session.prompt())
        except OSError as error:
            if error.errno == errno.EIO:
                raise EOFError from error
            raise

    def _opened(self, history: InputHistory) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            lambda: FormattedText([("class:prompt", prompt_text(self._name, self._columns))]),
            history=LastingHistory(history),
            key_bindings=input_keys(),
            prompt_continuation=lambda _width, _line, wraps: "" if wraps else CONTINUATION,
            multiline=True,
            mouse_support=False,
            completer=ChatCompleter(self._settings.complete),
            complete_while_typing=Condition(lambda: _may_be_command(session.default_buffer.text)),
            auto_suggest=AutoSuggestFromHistory(),
            input_processors=[TabsProcessor(char1=" ", char2=" ")],
            enable_suspend=True,
            editing_mode=EditingMode.VI if self._settings.vi else EditingMode.EMACS,
            style=Style.from_dict(COLOURED if self._settings.colour else PALE),
            color_depth=None if self._settings.colour else ColorDepth.DEPTH_1_BIT,
            reserve_space_for_menu=MENU_ROWS,
        )
        session.default_buffer.enable_history_search = to_filter(True)  # as an option it would turn completion off
        session.app.ttimeoutlen = ESCAPE_S
        session.app.renderer.cpr_not_supported_callback = None  # a line less for the status is no warning worth
        session.app.before_render += lambda _app: self._fit()
        return session

    @property
    def _columns(self) -> int:
        return self._session.app.output.get_size().columns

    def _fit(self) -> None:
        """Takes the status line away where the terminal is too small for it, also after it has become so."""
        room = self._status and has_room(self._session.app.output.get_size())
        self._session.bottom_toolbar = self._toolbar if room else None

    def _toolbar(self) -> FormattedText:
        commands = self._settings.vi and self._session.app.vi_state.input_mode == InputMode.NAVIGATION
        text = f"commands of vi · {self._status}" if commands else self._status
        return FormattedText([("", shortened(text, self._columns - 1))])


def _may_be_command(text: str) -> bool:
    return text.startswith("/") and "\n" not in text
