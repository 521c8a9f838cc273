"""The error tree; each class knows the exit code of the command line.

No sentence names an option of the command line: `settings` says which arguments of a call an error is about, and who
asked (the command line, a chat, a server) adds what to type.

LlamaChatError        1   anything that went wrong and has a sentence for it
├── UsageError        2   an option or argument is wrong
├── ModelFileError    3   the model cannot be loaded
│   ├── ShapeError    3   a tensor or an operation has the wrong shape
│   └── Unsupported   3   the file is right, this program does not know something in it
├── ContextFull       4   the prompt does not fit the context
├── EndedByLength     5   only with --fail-on-length
├── GrammarError      6   a grammar cannot guide the generation any further
├── NotEnoughMemory   7   the plan (weights + cache + scratch) exceeds what is free
└── Cancelled       130   a person pressed Ctrl+C
"""

import copy
from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What the process returns; printed in `--help`."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    MODEL = 3
    CONTEXT = 4
    LENGTH = 5
    SCHEMA = 6
    MEMORY = 7
    INTERRUPT = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class LlamaChatError(Exception):
    """Root of every error that this package raises on purpose; `str()` is one sentence: what, where, what to do.

    settings: the arguments that it is about, by the library's names ("n_ctx", "logit_bias"), the likeliest first.
    """

    exit_code: ExitCode = ExitCode.ERROR
    settings: tuple[str, ...] = ()

    def __init__(self, message: object = "", *, settings: tuple[str, ...] | None = None) -> None:
        super().__init__(message)
        if settings is not None:
            self.settings = settings

    def at(self, place: str) -> Self:
        """The same error, its sentence behind a place."""
        found = copy.copy(self)
        found.args = (f"{place}: {self}", *self.args[1:])
        return found


class UsageError(LlamaChatError):
    """An option, an argument or a call has a value that makes no sense. excerpt: lines of it that show the place."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, excerpt: tuple[str, ...] = (), *, settings: tuple[str, ...] | None = None) -> None:
        super().__init__(message, settings=settings)
        self.excerpt = excerpt


class ModelFileError(LlamaChatError):
    """A model file cannot be loaded. `path` is the file, `where` the place in it (a key, a tensor, an offset)."""

    exit_code = ExitCode.MODEL

    def __init__(self, message: str, path: object = None, where: str = "") -> None:
        place = ": ".join(str(part) for part in (path, where) if part)
        super().__init__(f"{place}: {message}" if place else message)
        self.path, self.where = path, where


class ShapeError(ModelFileError):
    """A tensor, or an operation of a forward pass, does not have the shape that it must have."""


class Unsupported(ModelFileError):
    """The file is well formed, but asks for something that this program does not know; a wrong answer is worse."""


class ContextFull(LlamaChatError):
    """More tokens than the context can hold."""

    exit_code = ExitCode.CONTEXT
    settings = ("n_ctx",)


class EndedByLength(LlamaChatError):
    """The generation reached its limit (an error only with --fail-on-length)."""

    exit_code = ExitCode.LENGTH


class GrammarError(LlamaChatError):
    """A grammar cannot guide the generation: it is too complex, or the text left it; the session is as it was."""

    exit_code = ExitCode.SCHEMA


class NotEnoughMemory(LlamaChatError):
    """Weights, cache and scratch together exceed the memory that is free."""

    exit_code = ExitCode.MEMORY


class Busy(LlamaChatError):
    """More requests wait than may; try again later."""


class Cancelled(LlamaChatError):
    """The evaluation was stopped by a person; the cache is valid up to the last finished batch."""

    exit_code = ExitCode.INTERRUPT
