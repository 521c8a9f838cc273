"""What a person typed while the model answered (`echo.py`) becomes part of the next line."""

import sys
from codecs import getincrementaldecoder
from select import select

from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from llamachat.terminal.listening import ESC, take_received

SENT = "sent"
"""The data of an Enter that is known to be one: it sends, however much was typed after it."""

COOKED = {Keys.ControlJ: KeyPress(Keys.ControlM, "\r"), Keys.ControlAt: KeyPress(Keys.ControlD, "\x04")}
"""Keys that a terminal with lines turns into others: Enter into a newline, Ctrl+D into a null byte."""


def take_typed(source: Input, vi: bool = False) -> None:
    """Makes what was typed until now the first keys of the next line. vi: Esc after typed words is a key."""
    bursts = [burst for burst in take_received() if vi or burst != ESC]
    keys = _keys_of(bursts)
    unheard: list[KeyPress] = []
    with source.raw_mode():
        while not source.closed and is_waiting(source, 0):
            unheard += source.read_keys()
    unheard += source.flush_keys()
    keys += [COOKED.get(key.key, key) for key in unheard]  # type: ignore[arg-type]
    store_typeahead(source, keys)


def _keys_of(bursts: list[bytes]) -> list[KeyPress]:
    """The keys that were read: lines that came at once were pasted, and an Enter of a person sends."""
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    keys: list[KeyPress] = []
    parser = Vt100Parser(keys.append)
    for burst in bursts:
        text = decoder.decode(burst)
        body = text.rstrip("\r")
        if "\r" in body and "\x1b" not in body:
            keys.append(KeyPress(Keys.BracketedPaste, body))
            text = text[len(body) :]
        first = len(keys)
        parser.feed(text)
        parser.flush()
        keys[first:] = [KeyPress(key.key, SENT) if key.key == Keys.ControlM else key for key in keys[first:]]
    return keys


def is_waiting(source: Input, seconds: float) -> bool:
    """Whether there is more to read, now or soon."""
    if sys.platform == "win32":
        return False
    try:
        return bool(select([source.fileno()], [], [], seconds)[0])
    except (OSError, ValueError):
        return False
