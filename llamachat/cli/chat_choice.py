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
    """What is done when the context cannot hold a chat."""

    SHIFT = "shift"
    SUMMARIZE = "summarize"
    STOP = "stop"


class IfOpen(StrEnum):
    """What is done when another program has the chat open."""

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
        Option("--file", "-f", metavar="FILE", help="Attach a file to the first message. May be given several "
               "times."),
    ] = None  # fmt: skip
    turns: Annotated[
        TurnsOfInput,
        Option("--turns", help="If standard input is a file or pipe: all of it is one message, or each line is a "
               "message (lines)."),
    ] = TurnsOfInput.ALL  # fmt: skip
    session: Annotated[
        str | None,
        Option(
            "--session", metavar="NAME", help="Continue the chat with this name or number, or start one with this name."
        ),
    ] = None
    resume: Annotated[bool, Option("--continue", "-C", help="Continue the last chat.")] = False
    save: Annotated[bool, Option("--save/--no-save", help="Whether the chat is saved.")] = True
    if_open: Annotated[
        IfOpen,
        Option("--if-open", help="If the chat is open in another llamachat: ask (or fork if nobody can be "
               "asked), continue in a copy, continue in memory only, or quit."),
    ] = IfOpen.ASK  # fmt: skip
    system: System = None
    system_file: SystemFile = None
    on_full: Annotated[
        OnFull,
        Option(
            "--on-full", help="When the context is full: drop the oldest turns, replace them by a summary, or stop."
        ),
    ] = OnFull.SHIFT
    cache_budget: Annotated[
        int,
        Option("--cache-budget", min=0, metavar="MIB", help="Disk space for saved KV caches of chats, which lets "
               "them continue without evaluation; 0 saves none."),
    ] = 2048  # fmt: skip

    def __post_init__(self) -> None:
        if self.message == "":
            raise UsageError("the message is empty: give a text, or `-` for standard input")

    @property
    def chooses_chat(self) -> bool:
        """Whether a chat was named, or the last one is meant."""
        return self.resume or self.session is not None

    def system_text(self) -> str | None:
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
