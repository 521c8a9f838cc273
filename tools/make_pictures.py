"""Pictures of the program on a terminal: types into a shell and draws what a person would see then.

python tools/make_pictures.py [NAME ...]: writes docs/pictures/NAME.svg; by default every scene. Some need the default
model; in the others a model says what is written here, so that every kind of text is seen and each picture comes out
the same again.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pyte
from svg import Cell, Look, picture

from llamachat.catalog.paths import models_folder

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
SHELL, ENTER = "$ ", "\r"
QUIET_S, PATIENCE_S, KEY_S = 0.6, 120, 0.02

ANSWER = """\
## Plums or apples?

Both keep well. **Plums** are sweeter, *apples* last longer:

- plums: eat within a week
- apples: cool and dark, until March

| fruit  | sugar | season    |
|--------|------:|-----------|
| plum   |  10 g | August    |
| apple  |  10 g | September |
| 林檎 🍎 |  12 g | autumn    |

```python
def ripe(fruit: str, days: int) -> bool:
    # A week is enough for plums.
    return days > (7 if fruit == "plum" else 90)
```
"""
THOUGHT = "The person asks for a sum. Seventeen times twenty-four: ten times 24 is 240, seven times 24 is 168.\n"


@dataclass(frozen=True)
class Scene:
    """A picture: what is typed, each part when the screen has come to rest after the one before.

    answers: what the model says; the default model speaks where there are none.
    """

    title: str
    typed: Sequence[str]
    answers: Sequence[str] = ()
    columns: int = 80
    rows: int = 40


SCENES = {
    "chat": Scene(
        "A chat with a heading, a list, a table and code",
        [f"llamachat chat{ENTER}", f"Which keep longer, plums or apples?{ENTER}"],
        [ANSWER],
        rows=40,
    ),
    "thoughts": Scene(
        "A model that has thought before its answer",
        [f"llamachat chat{ENTER}", f"What is 17 times 24?{ENTER}", f"And 18 times 24?{ENTER}"],
        [f"<think>\n{THOUGHT}</think>\n\n17 · 24 = **408**", f"<think>\n{THOUGHT}</think>\n\n18 · 24 = **432**"],
        rows=20,
    ),
    "commands": Scene(
        "The commands of a chat, completed while they are typed",
        [f"llamachat chat{ENTER}", "/", "\x1b[B\x1b[B"],
        ["Yes."],
        rows=20,
    ),
    "why": Scene(
        "What a model could have said instead",
        [
            f"llamachat chat -m smollm2 --temp 0{ENTER}",
            f"Name three fruits.{ENTER}",
            f"/why{ENTER}",
            f"/show{ENTER}",
        ],
        rows=42,
    ),
    "run": Scene(
        "llamachat in a pipe",
        [
            f'llamachat run --chat -p "Name three fruits." --temp 0 > fruits.txt{ENTER}',
            f"cat fruits.txt{ENTER}",
            f'echo "Name three animals." | llamachat chat --temp 0 | wc -l{ENTER}',
            f'llamachat run -p "The Great Wall of China" --temp 0 --stop .{ENTER}',
        ],
        columns=88,
        rows=20,
    ),
    "doctor": Scene("What llamachat finds on a machine", [f"llamachat doctor -m smollm2{ENTER}"], rows=68),
}

STEADY = (
    (re.compile(r" · \d+ tokens/s"), ""),
    (re.compile(r"tokens, \d+\.\d s"), "tokens, 1.2 s"),
    (re.compile(r"/tmp/tmp\w+/home/|/root/\.|/tmp/"), "/home/ada/"),
    (re.compile(r"/work/\w+/"), "/home/ada/llamachat/"),
)
"""What differs from one time and machine to the next and tells a reader nothing."""

PROGRAM = """\
#!{python}
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from scripted import ScriptedModel
from llamachat.__main__ import main
from llamachat.cli import loading
from llamachat.templates.named import builtin_template
THOUGHTS = "{{# <think> </think> #}}"  # by its markers a template is known to be one of a model that thinks
model = ScriptedModel({answers})
model.title, model.chat_template = "example", builtin_template("chatml") + THOUGHTS
loading.load_model = lambda choice, status, n_contexts=1: model
sys.argv[0] = "llamachat"
main()
"""


class _Screen(pyte.Screen):
    """A screen that shows dim letters as bright black ones."""

    def select_graphic_rendition(self, *codes: int, **_private: Any) -> None:
        super().select_graphic_rendition(*(90 if code == 2 else code for code in codes))


class Terminal:
    """A shell on a pseudo-terminal, and the screen that it has drawn."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.screen = _Screen(scene.columns, scene.rows)
        self._stream = pyte.Stream(self.screen)
        own = {
            "PS1": SHELL, "TERM": "xterm-256color", "HISTFILE": "/dev/null", "INPUTRC": "/dev/null",
            "PATH": f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "LLAMACHAT_MODELS": str(models_folder()),
            **{f"XDG_{name}_HOME": str(folder / "home") for name in ("CONFIG", "DATA", "STATE")},
        }  # fmt: skip
        unwanted = ("NO_COLOR", "COLUMNS", "LLAMACHAT_CONFIG")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        self._child = pexpect.spawn(
            "bash", ["--norc", "--noprofile", "--noediting"], env={**kept, **own}, cwd=folder,
            dimensions=(scene.rows, scene.columns), encoding="utf-8",
        )  # fmt: skip
        self.rest()

    def type(self, text: str) -> None:
        """Types as a person does and waits until the screen has come to rest."""
        before = self._drawn
        for key in re.findall(r"\x1b\[.|.", text, re.DOTALL):
            self._child.send(key)
            time.sleep(KEY_S)
        while self._drawn == before:
            self._read()
        self.rest()

    def rest(self) -> None:
        """Waits until the cursor stands behind a prompt and nothing more comes. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if not self._read() and re.search(r"(\$|>)( /.*)?$", self._typed):
                return
        raise TimeoutError(f"no prompt in {PATIENCE_S} s; the screen:\n" + "\n".join(self.screen.display))

    def close(self) -> None:
        """Ends the shell."""
        self._child.close(force=True)

    _drawn = 0

    @property
    def _typed(self) -> str:
        return str(self.screen.display[self.screen.cursor.y]).rstrip()

    def _read(self) -> bool:
        """Draws what comes; whether anything came."""
        try:
            text = self._child.read_nonblocking(65536, QUIET_S)
        except pexpect.TIMEOUT:
            return False
        self._stream.feed(text)
        self._drawn += len(text)
        return True


def record(scene: Scene) -> list[list[Cell]]:
    """What the terminal shows at the end of the scene, without empty rows at its end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if scene.answers:
            _write_program(folder / "llamachat", scene)
        terminal = Terminal(scene, folder)
        try:
            for text in scene.typed:
                terminal.type(text)
            rows = [cells_of(terminal.screen, y) for y in range(scene.rows)]
        finally:
            terminal.close()
    rows = [steady(row) for row in rows]
    while rows and text_of(rows[-1:]).strip() in ("", SHELL.strip()):
        rows.pop()
    return rows


def cells_of(screen: pyte.Screen, y: int) -> list[Cell]:
    """A row from left to right. The second column of a wide character holds nothing."""
    row = [screen.buffer[y][x] for x in range(screen.columns)]
    return [
        Cell(char.data, _look(char), 2 if x + 1 < len(row) and not row[x + 1].data else 1)
        for x, char in enumerate(row)
        if char.data
    ]


def text_of(rows: Sequence[Sequence[Cell]]) -> str:
    """The text of rows."""
    return "\n".join("".join(cell.text for cell in row).rstrip() for row in rows)


def _look(char: Any) -> Look:
    return Look(char.fg, char.bg, char.bold, char.italics, char.underscore, char.reverse)


def steady(row: list[Cell]) -> list[Cell]:
    """The row with other text for what differs, and without blanks at its end."""
    text = "".join(cell.text for cell in row)
    for pattern, other in STEADY:
        if found := pattern.search(text):
            look = row[found.start()].look
            row = [*row[: found.start()], *(Cell(one, look) for one in other), *row[found.end() :]]
            text = "".join(cell.text for cell in row)
    while row and row[-1].text == " " and row[-1].look.back == "default" and not row[-1].look.reverse:
        row = row[:-1]
    return row


def _write_program(path: Path, scene: Scene) -> None:
    text = PROGRAM.format(
        python=sys.executable, root=str(ROOT), tests=str(ROOT / "tests" / "cli"),
        answers=list(scene.answers),
    )  # fmt: skip
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def main() -> None:
    """Draws the scenes that are asked for."""
    PICTURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or SCENES:
        scene = SCENES[name]
        path = PICTURES / f"{name}.svg"
        path.write_text(picture(record(scene), scene.columns, scene.title), "utf-8")
        print(path)


if __name__ == "__main__":
    main()
