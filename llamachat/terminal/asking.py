"""Whether a person can be asked, and the question for a yes."""

import os
import sys

from llamachat.terminal.sanitize import clean

TERMINAL = "/dev/tty"
YES = ("y", "yes")

_forbidden = False


def never_ask() -> None:
    """What --no-input says, for the rest of the process."""
    global _forbidden
    _forbidden = True


def input_is_forbidden() -> bool:
    """Whether --no-input was given."""
    return _forbidden


def may_ask() -> bool:
    """Whether a question would be seen and could be answered: there is a terminal, and nobody forbids it."""
    return not _forbidden and _is_terminal(sys.stdin) and (_is_terminal(sys.stderr) or _is_terminal(sys.stdout))


def may_converse() -> bool:
    """Whether a person types and reads: standard input and output are terminals, and nobody forbids to ask."""
    return not _forbidden and _is_terminal(sys.stdin) and _is_terminal(sys.stdout)


def agreed(question: str) -> bool:
    """Asks on standard error; anything but y or yes is no, and so is the end of the input."""
    if not may_ask():
        return False
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in YES


def take_terminal() -> bool:
    """Makes the person's terminal standard input, after a pipe was read to its end; False where there is none."""
    if _forbidden or not (_is_terminal(sys.stdout) and _is_terminal(sys.stderr)):
        return False
    try:
        descriptor = os.open(TERMINAL, os.O_RDONLY)
    except OSError:
        return False
    os.dup2(descriptor, 0)
    os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    return True


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty())
