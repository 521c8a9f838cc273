"""Removes control bytes from a text that comes in pieces, with the same result as from the whole text."""

import re

from llamachat.terminal.sanitize import clean

_OPEN = re.compile(
    "(?:(?:\x1b\\[|\x9b)[0-?]*[ -/]*"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*\x1b?"
    "|\x1b[ -/]*)\\Z"
)
MOST_HELD = 4096
"""A sequence that is longer is none."""


class Cleaner:
    """Holds back an escape sequence that has only begun."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of the text that is decided."""
        text = self._held + text
        found = _OPEN.search(text, max(0, len(text) - MOST_HELD))
        end = found.start() if found else len(text)
        self._held = text[end:]
        return clean(text[:end])

    def finish(self) -> str:
        """What was held back at the end."""
        held, self._held = self._held, ""
        return clean(held)
