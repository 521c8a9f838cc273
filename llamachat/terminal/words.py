"""A text in a pipe, word by word: who reads it never gets half of one, and never waits long."""

import re
import time
from collections.abc import Callable

from llamachat.dialogue.sinks import Echo
from llamachat.engine.events import Event
from llamachat.terminal.output import Output

PATIENCE_S = 0.8
"""So long a beginning of a word waits for its end."""

WORD_END = re.compile(r".*[\s\u3001-\u30ff\u3400-\u9fff]", re.DOTALL)
"""Up to the last blank, or the last character of a script that writes without blanks."""


class WordOutput(Output):
    """Standard output that gets whole words; what has waited for `PATIENCE_S` goes out as it is. clock: in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._held, self._since = "", 0.0

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free, and writes the words that are whole; a prompt is whole."""
        if isinstance(event, Echo):
            self.write(event.text)
            return
        if not event.text:
            self.idle()
            return
        whole = WORD_END.match(event.text)
        if whole is None:
            self._hold(self._held + event.text)
            self.idle()
            return
        self.write(event.text[: whole.end()])
        self._hold(event.text[whole.end() :])

    def write(self, text: str) -> None:
        """Writes a piece at once, behind what was held."""
        held, self._held = self._held, ""
        super().write(held + text)

    def idle(self) -> None:
        """Writes what has waited long enough."""
        if self._held and self._clock() - self._since >= PATIENCE_S:
            self.write("")

    def end_line(self) -> None:
        """Writes what is held, and a line break unless the text ended with one or is empty."""
        if self._held:
            self.write("\n")
        else:
            super().end_line()

    def _hold(self, text: str) -> None:
        if text and not self._held:
            self._since = self._clock()
        self._held = text
