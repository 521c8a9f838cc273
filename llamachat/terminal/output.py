"""Standard output and standard error as a person or a pipe gets them."""

import sys

from llamachat.engine.events import Event
from llamachat.terminal.colour import wants_colour as wants_colour
from llamachat.terminal.columns import set_out, terminal_size
from llamachat.terminal.sanitize import clean

_quiet = False


class Output:
    """Standard output, for answers (a sink) and for other texts.

    A terminal gets the text without control bytes, a file or pipe as it is.

    Writing to a pipe that nobody reads raises BrokenPipeError at once, because every piece is flushed.
    """

    def __init__(self) -> None:
        self.is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._ends_line = True

    def event(self, event: Event) -> None:
        """Writes the text that an event sets free, or the prompt that is put out before an answer."""
        self.write(event.text)

    def write(self, text: str) -> None:
        """Writes a piece at once."""
        if not text or sys.stdout is None:
            return
        shown = clean(text) if self.is_terminal else text
        write(shown)
        self._ends_line = shown.endswith("\n") if shown else self._ends_line

    def idle(self) -> None:
        """Nothing has come for a while; everything is written already."""

    def close(self) -> None:
        """Ends the last line."""
        self.end_line()

    def end_line(self) -> None:
        """Writes a line break, unless the text ended with one or is empty."""
        if not self._ends_line:
            self.write("\n")


def write(text: str) -> None:
    """Writes text to standard output at once, if there is one; what its encoding lacks becomes `?`."""
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def be_quiet() -> None:
    """From here on standard error gets errors only, for the rest of the process."""
    global _quiet
    _quiet = True


def is_quiet() -> bool:
    """Whether standard error is for errors only."""
    return _quiet


def note(text: str) -> None:
    """A line on standard error that is not an error; on a terminal no word is cut."""
    if sys.stderr is None or _quiet:
        return
    text = clean(text)
    if sys.stderr.isatty():
        text = "\n".join(set_out(text, terminal_size()[0]))
    print(text, file=sys.stderr, flush=True)
