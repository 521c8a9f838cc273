"""How a chat begins: with a person at the terminal, with a message from a pipe, or with several."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from llamachat.cli.chat_choice import ChatChoice, TurnsOfInput
from llamachat.cli.prompt import decoded, joined, read_stdin
from llamachat.errors import UsageError
from llamachat.files import LARGEST_TEXT
from llamachat.terminal.asking import input_is_forbidden, may_converse, take_terminal
from llamachat.terminal.output import note


@dataclass(frozen=True)
class Beginning:
    """first: the first message, "" for none. converses: a person types what follows. lines: standard input does."""

    first: str
    converses: bool = False
    lines: bool = False

    def messages(self) -> Iterator[str]:
        """The messages that are known, or come in lines of standard input, as they come; empty lines are none."""
        if self.first:
            yield self.first
        if self.lines:
            yield from _lines()


def begun(choice: ChatChoice) -> Beginning:
    """What the command line and standard input begin a chat with.

    Raises UsageError where there is no message and nobody who could type one.
    """
    piped = sys.stdin is None or not sys.stdin.isatty()
    if choice.turns is TurnsOfInput.LINES and piped:
        return Beginning(choice.first, lines=True)
    if may_converse() and not choice.reads_input:
        return Beginning(choice.first, converses=True)
    if input_is_forbidden() and not piped and not choice.first:
        raise UsageError(
            "chat waits for messages, and --no-input forbids to ask: give one, `llamachat chat MESSAGE`, or pipe it in"
        )
    said = _read(choice, piped)
    first = joined([choice.first, said])
    if piped and take_terminal():
        return Beginning(first, converses=True)
    if not first and not choice.file:
        raise UsageError("standard input is empty: there is no message to answer")
    return Beginning(first)


def _read(choice: ChatChoice, piped: bool) -> str:
    """The text of standard input. At a terminal a note says how to end it; with a message nothing is read there."""
    if piped:
        return read_stdin()
    if choice.first and not choice.reads_input:
        return ""
    where = "on the terminal" if sys.stdout is not None and sys.stdout.isatty() else "where standard output goes"
    note(f"(type a message and end it with Ctrl+D; the answer appears {where})")
    return read_stdin()


def _lines() -> Iterator[str]:
    if sys.stdin is None:
        return
    number = 0
    while line := sys.stdin.buffer.readline(LARGEST_TEXT):
        number += 1
        text = decoded(line, f"standard input, line {number}").strip("\r\n")
        if text.strip():
            yield text
