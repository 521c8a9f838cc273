"""The view of thoughts: shown dimmed while they come, then folded to one line."""

from llamachat.dialogue.answer_only import AnswerSink
from llamachat.dialogue.sinks import Sink
from llamachat.dialogue.thinking import Thinking
from llamachat.engine.events import Event, Token
from llamachat.terminal.cleaning import Cleaner
from llamachat.terminal.columns import wrapped
from llamachat.terminal.live import LiveArea, Pace, Screen

DIM, PLAIN = "\x1b[2m", "\x1b[0m"
SHOWN_LINES = 6
"""Rows of the end of a thought that are on the screen while it comes."""

SHOWN, STEP = 2000, 1000
"""The rows are made of the last SHOWN characters; where these begin moves by STEP characters at a time."""


class ReasoningView(AnswerSink):
    """Another view, which gets the answer; the thought before it is drawn while it comes, and then one line.

    thinking: what is known of the answer before it begins. hide: only the length of the thought is drawn, and only
    while it comes. key: how to see a folded thought, for the end of its line.
    """

    def __init__(
        self, inner: Sink, thinking: Thinking, hide: bool = False, screen: Screen | None = None, key: str = ""
    ) -> None:
        super().__init__(inner, thinking)
        self._hide, self._key = hide, key
        self._screen = screen or Screen()
        self._live, self._pace, self._cleaner = LiveArea(self._screen), Pace(self._screen.clock), Cleaner()
        self._said, self._n_tokens, self._begun = "", 0, self._screen.clock()
        self._stale = False

    def event(self, event: Event) -> None:
        """Draws what is thought and passes on what is answer."""
        self._n_tokens += isinstance(event, Token) and self.answer.inside
        before = len(self.answer.thoughts)
        said = self.answer.of(event)
        if before and not self.answer.thoughts:  # the model meant this thought as its answer
            self._said = ""
            self._live.clear()
        if thought := self.answer.thoughts[before:]:
            self._think(thought)
        if self._said and (said.text or not self.answer.inside):
            self._fold()
        self.inner.event(said)

    def idle(self) -> None:
        """Draws what has not been drawn yet."""
        if self._stale:
            self._draw()
        self.inner.idle()

    def close(self) -> None:
        """Folds the thought, also one that has not ended, and ends the other view."""
        rest = self.answer.rest()
        self._fold()
        if rest:
            self.inner.event(Event(rest))
        self.inner.close()

    def _think(self, piece: str) -> None:
        self._said += self._cleaner.feed(piece)
        self._stale = True
        if self._pace.due:
            self._draw()

    def _draw(self) -> None:
        """The end of the thought."""
        self._stale = False
        if not self._said.strip():
            return
        with self._pace.drawing():
            rows = [f"thinking: {self._n_tokens} tokens"] if self._hide else self._last_rows()
            self._live.show([f"{DIM}{row}{PLAIN}" for row in rows])

    def _last_rows(self) -> list[str]:
        start = max(0, len(self._said) - SHOWN) // STEP * STEP
        said = self._said[start:].strip().expandtabs(4)
        return wrapped(said, self._screen.size()[0])[-SHOWN_LINES:]

    def _fold(self) -> None:
        """The thought becomes one line."""
        line = f"thought for {self._n_tokens} tokens, {self._screen.clock() - self._begun:.1f} s{self._key}"
        shown = not self._hide and self._said.strip()
        self._live.show((), [f"{DIM}{line}{PLAIN}"] if shown else [])
        self._said, self._stale = "", False
