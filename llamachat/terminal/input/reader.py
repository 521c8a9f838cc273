"""The line where a person types: prompt_toolkit with a history that lasts, or the plain line of a dumb terminal."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import current_thread, main_thread
from types import FrameType

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, to_filter
from prompt_toolkit.formatted_text import ANSI, FormattedText
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Attrs, Style

from llamachat.session.history import InputHistory
from llamachat.terminal.columns import shortened
from llamachat.terminal.input.ahead import take_typed
from llamachat.terminal.input.completion import ChatCompleter, LastingHistory
from llamachat.terminal.input.keys import input_keys
from llamachat.terminal.input.labels import PROMPT, has_room
from llamachat.terminal.input.message import Typed, typed_of
from llamachat.terminal.input.pasted import Folds, Pasted
from llamachat.terminal.input.plain import CONTINUATION, PlainReader
from llamachat.terminal.input.settings import InputSettings as InputSettings
from llamachat.terminal.paths import is_mention
from llamachat.terminal.restore import is_dumb, kept_terminal
from llamachat.terminal.sanitize import clean_line
from llamachat.terminal.theme import painted

ESCAPE_S = 0.05
"""Seconds after which an Esc is a key of its own; prompt_toolkit's own 0.5 s is too slow."""

MENU_ROWS = 8
"""Of a menu at most; a small terminal gives a third of its rows."""

_KNOWS_DIM = "dim" in Attrs._fields

STYLE = {
    "completion-menu": "fg:default bg:default",
    "completion-menu.completion.current": "fg:default bg:default reverse",
    "completion-menu.meta.completion": f"fg:default bg:default{' dim' if _KNOWS_DIM else ''}",
    "completion-menu.meta.completion.current": f"fg:default bg:default{' dim' if _KNOWS_DIM else ''}",
    "scrollbar.background": "bg:default",
    "scrollbar.button": "reverse bg:default",
    "bottom-toolbar": f"noreverse{' dim' if _KNOWS_DIM else ''}",
    # A suggestion must not look like something typed.
    "auto-suggestion": f"noinherit {'dim' if _KNOWS_DIM else 'italic'}",
    "aborting": "noinherit",
    "exiting": "noinherit",
}
"""No colours: whatever the terminal's theme is, light or dark, the menu belongs to it."""

ReadLine = Callable[..., Typed]
"""Takes a message that the line begins with, if any. Returns what was typed; raises KeyboardInterrupt for Ctrl+C and
EOFError at the end of the input.
"""


def line_reader(history: InputHistory, settings: InputSettings | None = None) -> ReadLine:
    """What reads the person's messages on this terminal."""
    settings = settings or InputSettings()
    return PlainReader(settings) if is_dumb() else LineReader(history, settings)


class _Screen(Vt100_Output):
    """A terminal that is asked nothing.

    prompt_toolkit asks where the cursor is, to put the status line at the bottom of the screen; where no answer comes,
    it waits a second at the end of each line, and shows no status at all.
    """

    @property
    def responds_to_cpr(self) -> bool:
        """Whether it tells where the cursor is."""
        return False

    def get_rows_below_cursor_position(self) -> int:
        """There is the cursor's own; more are made by scrolling."""
        return 1


def _output() -> Output | None:
    """Where the line is shown; None for prompt_toolkit's own choice."""
    if sys.platform == "win32":
        return None
    return _Screen.from_pty(sys.stdout, term=os.environ.get("TERM"))


class LineReader:
    """Reads messages with the keys of `keys.py`, and those of emacs or vi.

    Up and Down go through earlier inputs that begin as this one, Ctrl+R searches them, the right arrow takes the one
    that is suggested. Tab completes; while typing, only commands are. Calling it raises KeyboardInterrupt for Ctrl+C
    and EOFError for Ctrl+D on an empty line, or when the terminal is gone.
    """

    def __init__(self, history: InputHistory, settings: InputSettings) -> None:
        self._settings = settings
        self._status = ""
        self._end: SystemExit | None = None
        self._interrupted = False
        self._remembered = LastingHistory(history, lambda text: (self._pasted.whole(text), self._pasted.begins))
        self._session = self._opened()
        self._pasted = Pasted(self._session.default_buffer, self._remembered.literal)

    def __call__(self, draft: str = "") -> Typed:
        """What is typed next. draft: a message that is there to be changed, or sent."""
        self._status = clean_line(self._settings.status())
        try:
            with kept_terminal(self._leave, self._return), self._interrupts_noted():
                take_typed(self._session.input, self._settings.vi)
                self._raise_interrupt()
                text = self._prompted(draft)
                self._raise_interrupt()
                return self._meant(text)
        except OSError as error:
            if error.errno == errno.EIO:
                raise EOFError from error
            raise

    def _meant(self, text: str) -> Typed:
        """What was typed and what was pasted of the text, put together."""
        typed = Typed(text, literal=True) if self._pasted.begins else typed_of(text)
        return replace(typed, text=self._pasted.whole(typed.text))

    def _prompted(self, draft: str) -> str:
        line = self._pasted.begin(draft)
        try:
            # Its own handler fails behind the end of the line.
            return self._session.prompt(default=line, handle_sigint=False)
        finally:
            if self._end is not None:
                raise self._end

    @contextmanager
    def _interrupts_noted(self) -> Iterator[None]:
        """Ctrl+C is a key while the line is read. Just before and after it is a signal, which must not be raised in the
        event loop and is not lost: it gives up this line, or the next where this one is given up already.
        """
        if current_thread() is not main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._note_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _note_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupted = True
        if (loop := self._session.app.loop) is not None:
            loop.call_soon_threadsafe(self._give_up)

    def _raise_interrupt(self) -> None:
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def _give_up(self) -> None:
        if self._interrupted and self._is_open:
            self._interrupted = False
            self._session.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    def _leave(self, end: SystemExit) -> None:
        """The program ends. Raised in a task of the event loop that would be shown as an error of it."""
        loop = self._session.app.loop
        if loop is None:
            raise end
        self._end = end
        loop.call_soon_threadsafe(self._exit, end)

    def _exit(self, end: SystemExit) -> None:
        if self._is_open:
            self._session.app.exit(exception=end)

    def _return(self) -> None:
        """The program continues after Ctrl+Z: the line is drawn anew, below what stands there now."""
        app = self._session.app
        if app.loop is not None and self._is_open and not app._running_in_terminal:
            app.loop.call_soon_threadsafe(self._redraw)

    def _redraw(self) -> None:
        if self._is_open:
            self._session.app.renderer.reset()
            self._session.app.invalidate()

    @property
    def _is_open(self) -> bool:
        """Whether the line is still being read."""
        future = self._session.app.future
        return future is not None and not future.done()

    def _opened(self) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            lambda: ANSI(painted(PROMPT, "prompt")),
            history=self._remembered,
            key_bindings=input_keys(lambda: self._pasted, self._settings.thoughts),
            prompt_continuation=lambda _width, _line, wraps: "" if wraps else CONTINUATION,
            multiline=True,
            mouse_support=False,
            completer=ChatCompleter(self._settings.complete),
            complete_while_typing=Condition(lambda: self._may_be_command(session.default_buffer.document)),
            auto_suggest=AutoSuggestFromHistory(),
            input_processors=[Folds(lambda: self._pasted), TabsProcessor(char1=" ", char2=" ")],
            enable_suspend=True,
            editing_mode=EditingMode.VI if self._settings.vi else EditingMode.EMACS,
            style=Style.from_dict(STYLE),
            color_depth=None if self._settings.colour else ColorDepth.DEPTH_1_BIT,
            output=_output(),
        )
        session.default_buffer.enable_history_search = to_filter(True)  # as an option it would turn completion off
        session.app.ttimeoutlen = ESCAPE_S
        session.app.before_render += lambda _app: self._fit()
        return session

    @property
    def _columns(self) -> int:
        return self._session.app.output.get_size().columns

    def _fit(self) -> None:
        """Gives the menu its rows, and takes the status line away where the terminal is too small for it."""
        size = self._session.app.output.get_size()
        self._session.reserve_space_for_menu = min(MENU_ROWS, size.rows // 3)
        self._session.bottom_toolbar = self._toolbar if self._status and has_room(size) else None

    def _toolbar(self) -> FormattedText:
        commands = self._settings.vi and self._session.app.vi_state.input_mode == InputMode.NAVIGATION
        text = f"commands of vi · {self._status}" if commands else self._status
        return FormattedText([("", shortened(text, self._columns - 1))])

    def _may_be_command(self, document: Document) -> bool:
        text = document.text
        if is_mention(document.text_before_cursor) and not self._pasted.begins:
            return True
        return text.startswith("/") and "\n" not in text and not self._pasted.begins
