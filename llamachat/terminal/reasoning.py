"""What a model thinks before it answers: told apart from the answer, shown while it comes, then one line."""

from collections.abc import Mapping

from llamachat.dialogue.thoughts import Thought
from llamachat.engine.events import Event, Stop, Token
from llamachat.terminal.cleaning import Cleaner
from llamachat.terminal.columns import wrapped
from llamachat.terminal.live import LiveArea, Pace, Screen
from llamachat.terminal.view import PlainView

DIM, PLAIN = "\x1b[2m", "\x1b[0m"
SHOWN_LINES = 6
"""So much of the end of a thought is on the screen while it comes."""

SHOWN, STEP = 2000, 1000
"""Characters in which that end is looked for; where they begin moves by so many at a time."""


class ReasoningView(PlainView):
    """Another view, whose text begins with a thought. hide: of it only its length is shown, and only while it comes.

    spelled: texts of control tokens, as `spellings` finds them. Where the other view draws nothing, it gets all text
    as it comes; without a terminal, the answer. key: what is said of how to see a folded thought.
    """

    def __init__(
        self, inner: PlainView, thought: Thought, hide: bool = False, screen: Screen | None = None,
        spelled: Mapping[int, str] | None = None, key: str = "",
    ) -> None:  # fmt: skip
        self._key = key
        self._inner, self._thought, self._hide = inner, thought, hide
        self.is_terminal, self.draws = inner.is_terminal, inner.draws
        self._spelled = spelled or {}
        self._screen = screen or Screen()
        self._live, self._pace, self._cleaner = LiveArea(self._screen), Pace(self._screen.clock), Cleaner()
        self._said, self._n_tokens, self._begun = "", 0, self._screen.clock()
        self._answered = self._stale = self._completed = False

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free."""
        spelled = self._spelled.get(event.id, "") if isinstance(event, Token) else ""
        if self._is_raw:
            self._inner.event(event)
            return
        self._n_tokens += isinstance(event, Token) and self._thought.inside
        self._completed = isinstance(event, Stop) and event.reason in ("eos", "stop")
        self.write(event.text + spelled)

    def write(self, text: str) -> None:
        """Takes a piece."""
        if self._is_raw:
            self._inner.write(text)
            return
        for is_thought, piece in self._thought.feed(text):
            self._take(is_thought, piece)
        if self._said and not self._thought.inside:
            self._fold()

    def idle(self) -> None:
        """Nothing has come for a while: draws what has not been drawn yet."""
        if self._stale:
            self._draw()
        self._inner.idle()

    def end_line(self) -> None:
        """Writes a line break, unless there is one."""
        self._end()
        self._inner.end_line()

    def close(self) -> None:
        """The end of the answer, even within a thought."""
        self._end()
        self._inner.close()

    @property
    def _is_raw(self) -> bool:
        return self.is_terminal and not self.draws and not self._hide

    def _end(self) -> None:
        for is_thought, piece in self._thought.finish():
            self._take(is_thought, piece)
        if self._completed and self._thought.inside and self._said.strip():  # it meant this as its answer
            said, self._said = self._said, ""
            self._live.clear()
            self._take(False, said)
        self._fold()

    def _take(self, is_thought: bool, piece: str) -> None:
        if is_thought:
            self._think(piece)
            return
        if self._said:
            self._fold()
        self._answer(piece)

    def _think(self, piece: str) -> None:
        self._said += self._cleaner.feed(piece)
        self._stale = True
        if self._pace.due:
            self._draw()

    def _answer(self, piece: str) -> None:
        if not self._answered:
            piece = piece.lstrip("\n")
        if piece:
            self._answered = True
            self._inner.write(piece)

    def _draw(self) -> None:
        """The end of the thought."""
        self._stale = False
        if not self.draws or not self._said.strip():
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
        told = f"thought for {self._n_tokens} tokens, {self._screen.clock() - self._begun:.1f} s{self._key}"
        shown = self.draws and not self._hide and self._said.strip()
        self._live.show((), [f"{DIM}{told}{PLAIN}"] if shown else [])
        self._said, self._stale = "", False
