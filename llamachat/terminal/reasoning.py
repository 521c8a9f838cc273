"""What a model thinks before it answers: told apart from the answer, shown while it comes, then one line."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from llamachat.engine.events import Event, Token
from llamachat.terminal.live import LiveArea
from llamachat.terminal.output import write
from llamachat.terminal.sanitize import clean
from llamachat.terminal.view import PlainView

DIM, PLAIN = "\x1b[2m", "\x1b[0m"
SHOWN_LINES = 6
"""So much of the end of a thought is on the screen while it comes."""


@dataclass(frozen=True)
class Markers:
    """Between these texts a model thinks."""

    opening: str
    closing: str


KNOWN = (
    Markers("<think>", "</think>"),
    Markers("<thinking>", "</thinking>"),
    Markers("<seed:think>", "</seed:think>"),
    Markers("[THINK]", "[/THINK]"),
    Markers("<|START_THINKING|>", "<|END_THINKING|>"),
    Markers("<reasoning>", "</reasoning>"),
)


def markers_of(template: str) -> Markers | None:
    """The markers that a chat template knows; None where it knows none."""
    return next((one for one in KNOWN if one.opening in template and one.closing in template), None)


class Thought:
    """Tells thinking from answering in a text that comes in pieces. A marker may be cut anywhere."""

    def __init__(self, markers: Markers, inside: bool) -> None:
        self._markers, self.inside, self._held, self._begun = markers, inside, "", inside

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """(whether it is a thought, text) of what is certain."""
        self._held += text
        found: list[tuple[bool, str]] = []
        while True:
            mark = self._markers.closing if self.inside else self._markers.opening
            if not self.inside and self._begun:  # a model thinks once
                found.append((False, self._held))
                self._held = ""
                break
            at = self._held.find(mark)
            if at < 0:
                keep = _overlap(self._held, mark)
                found.append((self.inside, self._held[: len(self._held) - keep]))
                self._held = self._held[len(self._held) - keep :]
                break
            found.append((self.inside, self._held[:at]))
            self._held = self._held[at + len(mark) :]
            self.inside, self._begun = not self.inside, True
        return [(thought, piece) for thought, piece in found if piece]

    def finish(self) -> list[tuple[bool, str]]:
        """What was held back at the end."""
        held, self._held = self._held, ""
        return [(self.inside, held)] if held else []


class ReasoningView(PlainView):
    """Another view, whose text begins with a thought. hide: it is not shown at all."""

    def __init__(
        self, inner: PlainView, thought: Thought, hide: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner, self._thought, self._hide, self._clock = inner, thought, hide, clock
        self.is_terminal = inner.is_terminal
        self._live = LiveArea(write)
        self._said, self._n_tokens, self._begun, self._answered = "", 0, clock(), False

    def event(self, event: Event) -> None:
        """Takes the text that an event sets free."""
        self._n_tokens += isinstance(event, Token) and self._thought.inside
        self.write(event.text)

    def write(self, text: str) -> None:
        """Takes a piece."""
        for thought, piece in self._thought.feed(text):
            if thought:
                self._think(piece)
            else:
                self._answer(piece)

    def idle(self) -> None:
        """Nothing has come for a while."""
        self._inner.idle()

    def end_line(self) -> None:
        """Writes a line break, unless there is one."""
        self._end()
        self._inner.end_line()

    def close(self) -> None:
        """The end of the answer, even within a thought."""
        self._end()
        self._inner.close()

    def _end(self) -> None:
        for thought, piece in self._thought.finish():
            (self._think if thought else self._answer)(piece)
        self._fold()

    def _think(self, piece: str) -> None:
        self._said += piece
        if not self._hide and self.is_terminal:
            columns = shutil.get_terminal_size().columns
            lines = [line for one in clean(self._said).strip().splitlines() for line in _cut(one, columns - 1)]
            self._live.show([f"{DIM}{line}{PLAIN}" for line in lines[-SHOWN_LINES:]])

    def _answer(self, piece: str) -> None:
        self._fold()
        if not self._answered:
            piece = piece.lstrip("\n")
        if piece:
            self._answered = True
            self._inner.write(piece)

    def _fold(self) -> None:
        """The thought becomes one line."""
        if self._said.strip() and not self._hide and self.is_terminal:
            told = f"thought for {self._n_tokens} tokens, {self._clock() - self._begun:.1f} s"
            self._live.replace(f"{DIM}{told}{PLAIN}\n")
        self._live.clear()
        self._said = ""


def _overlap(text: str, mark: str) -> int:
    """How many characters at the text's end may begin the mark."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if mark.startswith(text[-n:])), 0)


def _cut(line: str, columns: int) -> list[str]:
    """A line as lines of so many columns."""
    from rich.cells import chop_cells

    return chop_cells(line, max(columns, 1)) or [""]
