"""A picture that moves: a short chat with the default model, filmed on a real terminal.

python tools/make_demo.py: writes docs/pictures/demo.svg. Each row that is ever on the screen is drawn once and shown by
CSS while it is there. Where nothing moves (a reader who wants it so, a program without CSS) the last screen stands.
"""

import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pexpect
from make_pictures import ENTER, PICTURES, Scene, Terminal, cells_of, steady
from svg import CELL, FONTS, INK, LINE, MARGIN, PAPER, SIZE, Cell, Look, row_parts

TITLE = "llamachat on a terminal: a question, an answer in Markdown, quit, and the chat continued"
QUIET_S, PATIENCE_S = 0.8, 120.0
KEY_S, SHORTEST_S, LONGEST_S = 0.07, 0.08, 0.6
"""Seconds of film: for a key, and for a screen at least and at most, however long it really stood."""

READ_S, END_S = 1.6, 5.0
"""How long the screen stands before the next line is typed, and at the end."""

SCENE = Scene(
    TITLE,
    [
        "llamachat chat --temp 0",
        "Name three fruits and say in a few words how each tastes.",
        "/quit",
        "llamachat chat --continue --temp 0",
        "Name a fourth one.",
    ],
    columns=84,
    rows=40,
)

Rows = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Frame:
    """A screen, and for how many seconds it stands."""

    rows: Rows
    seconds: float


class Filmed(Terminal):
    """A terminal that keeps every screen."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.frames: list[Frame] = []
        self._since = time.monotonic()
        super().__init__(scene, folder)

    def type(self, text: str) -> None:
        """Types a line and Enter, and films until the terminal has come to rest."""
        for key in text:
            self._child.send(key)
            self._wait(lambda: not self._read())
            self._film(KEY_S)
        self._child.send(ENTER)
        self._wait(self._read)
        self.rest()
        self.stand(READ_S)

    def rest(self) -> None:
        """Films until the cursor stands behind a prompt and nothing more comes. Raises TimeoutError."""
        quiet = time.monotonic()
        end = quiet + PATIENCE_S
        while time.monotonic() < end:
            if self._read():
                self._film()
                quiet = time.monotonic()
            elif time.monotonic() - quiet > QUIET_S and re.search(r"[$>]$", self._typed):
                return
        raise TimeoutError("no prompt; the screen:\n" + "\n".join(self.screen.display))

    def stand(self, seconds: float) -> None:
        """Lets the last screen stand for so long."""
        self.frames[-1] = Frame(self.frames[-1].rows, seconds)

    def _wait(self, done: "object") -> None:
        end = time.monotonic() + PATIENCE_S
        while not done() and time.monotonic() < end:  # type: ignore[operator]
            pass

    def _read(self) -> bool:
        try:
            text = self._child.read_nonblocking(65536, 0.04)
        except pexpect.TIMEOUT:
            return False
        self._stream.feed(text)
        return True

    def _film(self, seconds: float = 0.0) -> None:
        """Keeps the screen as it is now; the one before stood until now."""
        now = time.monotonic()
        if self.frames and not seconds:
            stood = min(LONGEST_S, max(SHORTEST_S, now - self._since))
            self.frames[-1] = Frame(self.frames[-1].rows, stood)
        self._since = now
        rows = tuple(tuple(steady(self._row(y))) for y in range(self.screen.lines))
        if self.frames and self.frames[-1].rows == rows:
            return
        self.frames.append(Frame(rows, seconds or SHORTEST_S))

    def _row(self, y: int) -> list[Cell]:
        """A row with the cursor, which is drawn as a block."""
        row = cells_of(self.screen, y)
        if y != self.screen.cursor.y or self.screen.cursor.hidden:
            return row
        column, found = 0, []
        for cell in row:
            at_cursor = column <= self.screen.cursor.x < column + cell.width
            found.append(Cell(cell.text, Look(reverse=True), cell.width) if at_cursor else cell)
            column += cell.width
        return found


def film(scene: Scene) -> list[Frame]:
    """All screens of the scene."""
    with tempfile.TemporaryDirectory() as name:
        terminal = Filmed(scene, Path(name))
        try:
            terminal._film(READ_S)
            for text in scene.typed:
                terminal.type(text)
            terminal.stand(END_S)
        finally:
            terminal.close()
        return terminal.frames


def moving_picture(frames: Sequence[Frame], columns: int, title: str) -> str:
    """The frames as the text of an SVG file, which begins again when it has ended."""
    n_rows = max(number + 1 for frame in frames for number, row in enumerate(frame.rows) if row)
    width, height = columns * CELL + 2 * MARGIN, n_rows * LINE + 2 * MARGIN
    shown = _shown(frames)
    total = sum(frame.seconds for frame in frames)
    last = frames[-1].rows
    styles, drawn = [], []
    for number, ((y, row), times) in enumerate(shown.items()):
        parts = "".join(row_parts(row, MARGIN + y * LINE))
        stays = ' class="s"' if last[y] == row else ""
        if times == [(0.0, total)]:
            drawn.append(f"<g>{parts}</g>")
            continue
        styles.append(f"@keyframes k{number}{{{''.join(_steps(times, total))}}}#r{number}{{animation-name:k{number}}}")
        drawn.append(f'<g id="r{number}"{stays}>{parts}</g>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
            f"<title>{escape(title)}</title>",
            "<style>",
            f"g[id]{{visibility:hidden;animation:{total:.2f}s step-end infinite}}.s[id]{{visibility:visible}}",
            *styles,
            "@media (prefers-reduced-motion:reduce){g[id]{animation:none}}",
            "</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
            f'<g font-family="{FONTS}" font-size="{SIZE}" fill="{INK}" xml:space="preserve">',
            *drawn,
            "</g>",
            "</svg>\n",
        ]
    )


def _shown(frames: Sequence[Frame]) -> dict[tuple[int, tuple[Cell, ...]], list[tuple[float, float]]]:
    """When each row is on the screen, in seconds; neighbouring times are one."""
    shown: dict[tuple[int, tuple[Cell, ...]], list[tuple[float, float]]] = {}
    begun = 0.0
    for frame in frames:
        end = begun + frame.seconds
        for y, row in enumerate(frame.rows):
            if not row:
                continue
            times = shown.setdefault((y, row), [])
            if times and times[-1][1] == begun:
                times[-1] = (times[-1][0], end)
            else:
                times.append((begun, end))
        begun = end
    return shown


def _steps(times: Sequence[tuple[float, float]], total: float) -> Iterator[str]:
    if times[0][0] > 0:
        yield "0%{visibility:hidden}"
    for begun, end in times:
        yield f"{100 * begun / total:.2f}%{{visibility:visible}}"
        if end < total:
            yield f"{100 * end / total:.2f}%{{visibility:hidden}}"
    if times[-1][1] >= total:
        yield "to{visibility:visible}"


def main() -> None:
    """Films the scene."""
    path = PICTURES / "demo.svg"
    frames = film(SCENE)
    path.write_text(moving_picture(frames, SCENE.columns, TITLE), "utf-8")
    print(f"{path}: {len(frames)} screens, {path.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
