"""Notes about a text that is longer than its context: that it ended there, or that its beginning was dropped."""

import sys
from collections.abc import Sequence

from llamachat.dialogue.sinks import Sink, Wrapper
from llamachat.engine.events import Event, Stop, Token
from llamachat.terminal.output import note

SHIFTED = "(the context of {n_ctx} tokens is full: the oldest ones are forgotten, and the text continues)"
ENDED = "(the text ends here: the context of {n_ctx} tokens is full; -c N makes it larger, -n -1 continues without end)"


class ShiftReporter(Wrapper):
    """Another sink; says once that old tokens were forgotten: at once, or after the text if both are on the terminal.

    n_prompt: tokens of the prompt. on_terminal: the text goes to a terminal.
    """

    def __init__(self, inner: Sink, n_ctx: int, n_prompt: int, on_terminal: bool) -> None:
        super().__init__(inner)
        self._n_ctx, self._n_text = n_ctx, n_prompt
        self._waits = on_terminal and sys.stderr is not None and sys.stderr.isatty()
        self._told = False

    def event(self, event: Event) -> None:
        """Passes it on, and says what it tells of the context."""
        super().event(event)
        self._n_text += isinstance(event, Token)
        if isinstance(event, Stop):
            if event.timings.n_forgotten:
                self._tell()
        elif not self._waits and self._n_text > self._n_ctx + 1:  # the last token is not evaluated yet
            self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            note(SHIFTED.format(n_ctx=self._n_ctx))


def report_ending(reason: str, n_ctx: int) -> None:
    """Says that a text has ended because the context is full."""
    if reason == "context":
        note(ENDED.format(n_ctx=n_ctx))


def report_endings(stops: Sequence[Stop], n_ctx: int) -> None:
    """The same of several texts, in one line each."""
    ended = sum(stop.reason == "context" for stop in stops)
    shifted = sum(stop.timings.n_forgotten > 0 for stop in stops)
    if ended:
        note(f"({ended} of {len(stops)} texts ended because the context of {n_ctx} tokens is full)")
    if shifted:
        note(f"({shifted} of {len(stops)} texts outgrew the context of {n_ctx} tokens: their beginning was forgotten)")
