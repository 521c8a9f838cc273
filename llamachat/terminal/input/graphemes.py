"""Keys that move by graphemes: a flag, a letter with its accents and a family are one character each."""

from collections.abc import Callable

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, Filter, emacs_mode, has_selection, vi_insert_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from wcwidth import iter_graphemes

LONGEST = 1000
"""Characters around the cursor that are looked at."""


def length_before(text: str) -> int:
    """Characters of the last grapheme of a text; a line break is one."""
    line = text[-LONGEST:].rpartition("\n")[2]
    return len([*iter_graphemes(line)][-1]) if line else min(1, len(text))


def length_behind(text: str) -> int:
    """Characters of the first grapheme of a text; a line break is one."""
    line = text[:LONGEST].partition("\n")[0]
    return len(next(iter_graphemes(line))) if line else min(1, len(text))


def add_grapheme_keys(keys: KeyBindings, typing: Filter) -> None:
    """Backspace, Delete and the arrows, in the keys of emacs and where text is put in with those of vi."""
    where = typing & (emacs_mode | vi_insert_mode) & ~has_selection
    inside = Condition(lambda: not get_app().current_buffer.document.is_cursor_at_the_end)
    text = Condition(lambda: bool(get_app().current_buffer.text))
    for name, more, act in (
        ("backspace", where, _delete_before),
        ("delete", where, _delete_behind),
        ("c-d", where & text, _delete_behind),
        ("left", where, _left),
        ("right", where & inside, _right),  # at the end it takes what is suggested
        ("c-b", where & emacs_mode, _left),
        ("c-f", where & emacs_mode & inside, _right),
    ):
        keys.add(name, filter=more, save_before=lambda event: not event.is_repeat)(_repeated(act))


def _repeated(act: Callable[[Buffer], None]) -> Callable[[KeyPressEvent], None]:
    def handle(event: KeyPressEvent) -> None:
        for _ in range(max(1, event.arg)):
            act(event.current_buffer)

    return handle


def _delete_before(buffer: Buffer) -> None:
    buffer.delete_before_cursor(length_before(buffer.document.text_before_cursor))


def _delete_behind(buffer: Buffer) -> None:
    buffer.delete(length_behind(buffer.document.text_after_cursor))


def _left(buffer: Buffer) -> None:
    buffer.cursor_left(length_before(buffer.document.text_before_cursor))


def _right(buffer: Buffer) -> None:
    buffer.cursor_right(length_behind(buffer.document.text_after_cursor))
