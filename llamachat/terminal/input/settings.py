"""What the input line needs of the chat."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llamachat.terminal.commands.base import Completion


@dataclass(frozen=True)
class InputSettings:
    """status: a quiet line below. complete: what could stand before the cursor. thoughts: the last ones, for Ctrl+O.

    All are asked anew for each message, `complete` for each key. vi: keys of vi, else of emacs.
    """

    status: Callable[[], str] = lambda: ""
    complete: Callable[[str], Iterable[Completion]] = lambda _text: ()
    vi: bool = False
    colour: bool = True
    thoughts: Callable[[], str] = lambda: ""
