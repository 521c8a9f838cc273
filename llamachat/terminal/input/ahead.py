"""What a person typed while the model spoke (`unseen.py`): there when the next line is read."""

import sys
from select import select

from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

SENT = "sent"
"""The data of an Enter that is known to be one: it sends, however much was typed after it."""

COOKED = {Keys.ControlJ: KeyPress(Keys.ControlM, "\r"), Keys.ControlAt: KeyPress(Keys.ControlD, "\x04")}
"""Keys that a terminal with lines turns into others: Enter into a newline, Ctrl+D into a null byte."""


def take_typed(source: Input) -> None:
    """What was typed until now becomes the first keys of the next line."""
    keys: list[KeyPress] = []
    with source.raw_mode():
        while not source.closed and is_waiting(source, 0):
            keys += source.read_keys()
    keys += source.flush_keys()
    store_typeahead(source, [COOKED.get(key.key, key) for key in keys])  # type: ignore[arg-type]


def is_waiting(source: Input, seconds: float) -> bool:
    """Whether there is more to read, now or soon."""
    if sys.platform == "win32":
        return False
    try:
        return bool(select([source.fileno()], [], [], seconds)[0])
    except (OSError, ValueError):
        return False
