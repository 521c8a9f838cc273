"""The options of `run` for filling in the middle: the texts around a gap, or a file and a place in it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.cli.prompt import STDIN, argument, read_exactly
from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.engine.tokenizers.filling import Gap

_PLACE = re.compile(r"(.+?):(\d{1,9})(?::(\d{1,9}))?", re.DOTALL)


@dataclass(frozen=True)
class GapChoice:
    """A place to be filled in, in place of a prompt."""

    infill: Annotated[
        tuple[str, str] | None,
        Option("--infill", metavar="PREFIX SUFFIX", help="Fill in what is missing between two texts, with a model for "
               "code; @FILE reads a text from a file, - from standard input. Each -f is another file of the project."),
    ] = None  # fmt: skip
    infill_at: Annotated[
        str | None,
        Option("--infill-at", metavar="FILE:LINE[:COLUMN]", help="The same at a place in a file, or in standard input "
               "(-:LINE:COLUMN). Lines and columns (characters) are counted from 1; without COLUMN it is the end of "
               "the line."),
    ] = None  # fmt: skip

    @property
    def given(self) -> bool:
        """Whether there is a gap."""
        return self.infill is not None or self.infill_at is not None

    def gap(self, files: list[Path]) -> "Gap":
        """The gap, with other files. Raises UsageError for what cannot be read, and a place that is not there."""
        from llamachat.engine.tokenizers.filling import Gap  # the engine, which --help does without

        others = tuple((str(file), read_exactly(file, f"-f {file}")) for file in files)
        project = Path.cwd().name
        if self.infill is not None:
            prefix, suffix = (_text(one) for one in self.infill)
            return Gap(prefix, suffix, others, project=project)
        assert self.infill_at is not None
        name, text, at = _place(self.infill_at)
        return Gap(text[:at], text[at:], others, name, project)


def _text(given: str) -> str:
    if given == str(STDIN):
        return read_exactly(STDIN, "--infill -")
    if given.startswith("@") and given[1:2] not in ("", "@"):
        return read_exactly(Path(given[1:]), f"--infill {given}")
    return argument(given.removeprefix("@") if given.startswith("@@") else given)


def _place(given: str) -> tuple[str, str, int]:
    """The name of a file, its text, and how many characters of that stand before the place."""
    found = _PLACE.fullmatch(given)
    if found is None:
        raise UsageError(f"--infill-at {given}: give a file, a line and a column, as in main.py:12:5")
    name, line, column = found[1], int(found[2]), None if found[3] is None else int(found[3])
    text = read_exactly(Path(name), f"--infill-at {name}")
    lines = text.splitlines(keepends=True)
    if not text or text.endswith("\n"):
        lines.append("")
    if not 1 <= line <= len(lines):
        raise UsageError(f"--infill-at {given}: there is no line {line}; the last one is {len(lines)}")
    length = len(lines[line - 1].rstrip("\r\n"))
    if column is not None and not 1 <= column <= length + 1:
        raise UsageError(f"--infill-at {given}: there is no column {column} in line {line}; the last is {length + 1}")
    before = length if column is None else column - 1
    return ("" if name == str(STDIN) else name), text, sum(map(len, lines[: line - 1])) + before
