"""What the input line needs of the chat."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llamachat.terminal.commands.base import Completion


@dataclass(frozen=True)
class InputSettings:
    """prompt: who is talked to. status: a quiet line below. complete: what could stand before the cursor.

    All three are asked anew for each message, `complete` for each key. vi: keys of vi, else of emacs.
    """

    prompt: Callable[[], str] = lambda: ""
    status: Callable[[], str] = lambda: ""
    complete: Callable[[str], Iterable[Completion]] = lambda _text: ()
    vi: bool = False
    colour: bool = True
