"""Pictures of real sessions: types into a shell on a terminal of its own and exports what a person would see as SVG.

python tools/screens.py [NAME ...]: writes docs/NAME.svg; by default every scene. Needs the default model, and a quiet
machine if the speeds in the picture shall be those of the machine.
"""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.text import Text

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLUMNS, ROWS = 100, 60
SHELL, CHAT = "$ ", "> "
QUIET_S, TIMEOUT_S, KEY_S = 0.6, 120, 0.02


@dataclass(frozen=True)
class Scene:
    """A picture: its title and (text to type, prompt to wait for afterwards); "\\x04" alone is Ctrl+D."""

    title: str
    lines: tuple[tuple[str, str], ...]


SCENES = {
    "chat": Scene(
        "llamachat chat",
        (
            ("llamachat chat --temp 0 --verbose", CHAT),
            ("Name three fruits.", CHAT),
            ("And three animals?", CHAT),
            ("What is photosynthesis?", CHAT),
            ("\x04", SHELL),
        ),
    ),
    "run": Scene(
        "llamachat run",
        (
            ('llamachat run --chat -p "Explain gravity in one sentence." --temp 0', SHELL),
            ('llamachat run -p "The Great Wall of China" --temp 0 -n 20 > wall.txt', SHELL),
            ("cat wall.txt", SHELL),
            ('echo "Name three animals." | llamachat chat --temp 0 | wc -l', SHELL),
            ("llamachat models", SHELL),
        ),
    ),
}


class Terminal:
    """A shell on a pseudo-terminal, and the screen that it has drawn."""

    def __init__(self, folder: Path) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self.screen)
        own = {"PS1": SHELL, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "HISTFILE": "/dev/null"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **own, "PATH": path, "INPUTRC": "/dev/null", "XDG_STATE_HOME": str(folder)}
        self._child = pexpect.spawn(
            *("bash", ["--norc", "--noprofile", "--noediting"]),
            env=environment, cwd=folder, dimensions=(ROWS, COLUMNS), encoding="utf-8",
        )  # fmt: skip
        self.wait_for(SHELL)

    def type(self, text: str, prompt: str) -> None:
        """Types a line as a person does and waits for the prompt that follows."""
        for key in text if text == "\x04" else f"{text}\r":
            self._child.send(key)
            time.sleep(KEY_S)
        self._read(KEY_S)
        self.wait_for(prompt)

    def wait_for(self, prompt: str) -> None:
        """Waits until the cursor stands behind the prompt and nothing more comes. Raises TimeoutError."""
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            if not self._read(QUIET_S) and self._cursor_line() == prompt.rstrip():
                return
        raise TimeoutError(f"no {prompt!r} in {TIMEOUT_S} s; the screen:\n" + "\n".join(self.screen.display))

    def close(self) -> None:
        """Ends the shell."""
        self._child.close(force=True)

    def _cursor_line(self) -> str:
        return str(self.screen.display[self.screen.cursor.y]).rstrip()

    def _read(self, seconds: float) -> bool:
        """Draws what comes within the time; whether anything came."""
        try:
            self._stream.feed(self._child.read_nonblocking(65536, seconds))
        except pexpect.TIMEOUT:
            return False
        return True


def text_of(screen: pyte.Screen) -> Text:
    """The screen's lines with their styles, up to the line above the last prompt."""
    last = max(y for y, line in enumerate(screen.display) if line.strip() not in ("", SHELL.strip()))
    lines = [Text.assemble(*((char.data, style_of(char)) for char in cells(screen, y))) for y in range(last + 1)]
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def cells(screen: pyte.Screen, y: int) -> Iterable[Char]:
    """The characters of a line, from left to right."""
    return (screen.buffer[y][x] for x in range(screen.columns))


def style_of(char: Char) -> Style:
    """A character's style in rich's words."""
    colours = (None if colour == "default" else f"#{colour}" if len(colour) == 6 else colour for colour in char[1:3])
    front, back = (colour if colour is None or colour.startswith("#") else NAMES.get(colour) for colour in colours)
    return Style(color=front, bgcolor=back, bold=char.bold or None, reverse=char.reverse or None)


NAMES = {name: name for name in ("black", "red", "green", "blue", "magenta", "cyan", "white")} | {"brown": "yellow"}


def record(scene: Scene, folder: Path) -> Text:
    """What the terminal shows at the end of the scene."""
    terminal = Terminal(folder)
    try:
        for text, prompt in scene.lines:
            terminal.type(text, prompt)
        return text_of(terminal.screen)
    finally:
        terminal.close()


def main() -> None:
    """Records the scenes that are asked for."""
    import tempfile

    for name in sys.argv[1:] or SCENES:
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
            console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
            console.print(record(SCENES[name], Path(folder)), soft_wrap=True, highlight=False)
            console.save_svg(str(DOCS / f"{name}.svg"), title=SCENES[name].title, unique_id=name)
            print(DOCS / f"{name}.svg")


if __name__ == "__main__":
    main()
