"""The options of `chat` itself: which chat, how it begins, and how it looks."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from llamachat.cli.options import System, SystemFile
from llamachat.cli.prompt import STDIN, read_file, system_text
from llamachat.errors import UsageError


class OnFull(StrEnum):
    """What becomes of a chat that the context cannot hold."""

    SHIFT = "shift"
    SUMMARIZE = "summarize"
    STOP = "stop"


class IfOpen(StrEnum):
    """What becomes of a chat that another program is in."""

    ASK = "ask"
    FORK = "fork"
    READ_ONLY = "read-only"
    QUIT = "quit"


class TurnsOfInput(StrEnum):
    """What a message is, where standard input is not a terminal."""

    ALL = "all"
    LINES = "lines"


@dataclass(frozen=True)
class ChatChoice:
    """Which chat, how it begins, and what is kept of it."""

    message: Annotated[str | None, Argument(metavar="[MESSAGE]", help="The first message; `-` is standard input.")] = (
        None
    )
    file: Annotated[
        list[Path] | None,
        Option("--file", "-f", metavar="FILE", help="A file that is attached to the first message. May be given "
               "several times."),
    ] = None  # fmt: skip
    turns: Annotated[
        TurnsOfInput,
        Option("--turns", help="Where standard input is a file or pipe: all of it is one message, or lines: each line "
               "is one, answered in turn."),
    ] = TurnsOfInput.ALL  # fmt: skip
    session: Annotated[
        str | None,
        Option(
            "--session", metavar="NAME", help="Continue the chat of this name or number, or begin one of this name."
        ),
    ] = None
    resume: Annotated[bool, Option("--continue", "-C", help="Continue the last chat.")] = False
    save: Annotated[bool, Option("--save/--no-save", help="Whether the chat is kept.")] = True
    if_open: Annotated[
        IfOpen,
        Option("--if-open", help="When another llamachat is in the chat: ask (where nobody can be asked, fork), "
               "continue in a copy, in memory only, or not at all."),
    ] = IfOpen.ASK  # fmt: skip
    system: System = None
    system_file: SystemFile = None
    on_full: Annotated[
        OnFull,
        Option("--on-full", help="When the context is full: forget the oldest turns, keep a summary of them, or stop."),
    ] = OnFull.SHIFT
    cache_budget: Annotated[
        int,
        Option("--cache-budget", min=0, metavar="MIB", help="Disk space for what models have computed of chats, which "
               "lets them continue at once; 0 keeps none."),
    ] = 2048  # fmt: skip

    def __post_init__(self) -> None:
        if self.message == "":
            raise UsageError("the message is empty: give a text, or `-` for standard input")

    @property
    def goes_on(self) -> bool:
        """Whether it was said in which chat."""
        return self.resume or self.session is not None

    def told(self) -> str | None:
        """The system prompt. Raises UsageError for a file that cannot be read."""
        return system_text(self.system, self.system_file)

    def check_typed(self, names: Collection[str]) -> None:
        """Raises UsageError where a model stands in the place of the message."""
        if "message" in names and "model" not in names:
            from llamachat.cli.model_words import check_text  # what other command lines do without

            check_text(self.message)

    @property
    def reads_input(self) -> bool:
        """Whether standard input was asked for by name."""
        return self.message == str(STDIN) or STDIN in (self.file or ())

    @property
    def first(self) -> str:
        """The first message of the command line, "" for none."""
        return "" if self.message in (None, str(STDIN)) else str(self.message)

    def attached(self) -> list[tuple[str, str]]:
        """The names and texts of the files. Raises UsageError for one that cannot be read, or is no text."""
        return [(path.name, read_file(path)) for path in self.file or () if path != STDIN]
