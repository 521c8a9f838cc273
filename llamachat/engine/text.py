"""Text out of tokens' bytes: released as complete UTF-8, and once it is certain that no stop string begins in it."""

import codecs
from collections.abc import Sequence

from llamachat.errors import UsageError


class TextStream:
    """Turns bytes, in pieces of any size, into text; the released text does not depend on the size of the pieces.

    stops: strings that end the text; the one that is complete first counts (of two that are complete at once, the
    longer), and neither it nor what follows is released. Bytes that can no longer become UTF-8 turn into U+FFFD.
    Raises UsageError for an empty stop string.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        if isinstance(stops, str):
            raise UsageError(f"stop must be a tuple of strings, not the one string {stops!r}")
        if not all(stops):
            raise UsageError("a stop string must not be empty: it would end every answer before its first character")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """The text that `piece` sets free, maybe ""; `stopped` tells whether a stop string was completed."""
        return self._release(self._decoder.decode(piece))

    def finish(self, *, whole: bool = False) -> str:
        """The rest: text that was held back, and U+FFFD for a character that was never completed.

        whole: such a character is left out.
        """
        rest = "" if whole else self._release(self._decoder.decode(b"", True))
        held, self._held = self._held, ""
        return rest + held

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        start = _first_stop(text, self._stops)
        if start >= 0:
            self.stopped, self._held = True, ""
            return text[:start]
        kept = max((_begun(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]


def _first_stop(text: str, stops: Sequence[str]) -> int:
    """Where the stop string that is complete first begins; -1 if there is none."""
    found = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    return min(found)[1] if found else -1


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of `text` begin `stop`."""
    longest = min(len(stop) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
