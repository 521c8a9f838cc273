"""Text out of tokens' bytes: released as complete UTF-8, and once it is certain that no stop string begins in it."""

import codecs
from collections.abc import Sequence

from llamachat.errors import UsageError

FIRST_MARK = 0xD800
"""Half a character, which no decoded text has."""


class TextStream:
    """Turns bytes, in pieces of any size, into text; the released text does not depend on the size of the pieces.

    stops: strings that end the text; the one that is complete first counts (of two that are complete at once, the
    longer), and neither it nor what follows is released. A stop string may spell control tokens, which print nothing.
    Bytes that can no longer become UTF-8 turn into U+FFFD. Raises UsageError for an empty stop string.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        if isinstance(stops, str):
            raise UsageError(f"stop must be a tuple of strings, not the one string {stops!r}")
        if not all(stops):
            raise UsageError("a stop string must not be empty: it would end every answer before its first character")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stops)
        self._marks: dict[str, str] = {}  # of control tokens that stop strings spell
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes, control: str = "") -> str:
        """The text that `piece` sets free, maybe ""; `stopped` tells whether a stop string was completed.

        control: how a control token is spelled that follows the piece.
        """
        return self._release(self._decoder.decode(piece) + self._mark(control))

    def finish(self, *, whole: bool = False) -> str:
        """The rest: text that was held back, and U+FFFD for a character that was never completed.

        whole: such a character is left out.
        """
        rest = "" if whole else self._release(self._decoder.decode(b"", True))
        held, self._held = self._held, ""
        return self._printed(rest + held)

    def _mark(self, control: str) -> str:
        """One character that stands for the control token in the text; "" where no stop string spells it."""
        if control not in self._marks and control and any(control in stop for stop in self._stops):
            mark = self._marks[control] = chr(FIRST_MARK + len(self._marks))
            self._stops += tuple(stop.replace(control, mark) for stop in self._stops if control in stop)
        return self._marks.get(control, "")

    def _printed(self, text: str) -> str:
        """The text without the marks of control tokens."""
        for mark in self._marks.values():
            text = text.replace(mark, "")
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        start = _first_stop(text, self._stops)
        if start >= 0:
            self.stopped, self._held = True, ""
            return self._printed(text[:start])
        kept = max((_begun(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return self._printed(text[: len(text) - kept])


def _first_stop(text: str, stops: Sequence[str]) -> int:
    """Where the stop string that is complete first begins; -1 if there is none."""
    found = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    return min(found)[1] if found else -1


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of `text` begin `stop`."""
    longest = min(len(stop) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
