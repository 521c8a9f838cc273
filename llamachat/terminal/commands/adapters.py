"""/lora: which LoRA adapters change the model, and how much."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.errors import UsageError
from llamachat.terminal.commands.base import Command, saying
from llamachat.terminal.paths import path_of, paths
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from llamachat.engine.adapters import Scaled
    from llamachat.terminal.chatting import Chat

USAGE = "/lora FILE [SCALE] adds an adapter, /lora N SCALE changes one, /lora off removes all"
SCALE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


def _lora(chat: "Chat", words: str) -> str:
    """Shows or changes them."""
    now = chat.responder.model.adapters.asked.lora
    if not words:
        return _listed(now)
    try:
        given = shlex.split(words)
    except ValueError as error:
        raise UsageError(f"/lora: {error}") from None
    wanted = _changed(now, given)
    if wanted == now:
        return _listed(now)
    model, asked = chat.responder.model, chat.responder.model.adapters.asked
    remarks = model.adapt(replace(asked, lora=wanted), [chat.responder.context])
    return "\n".join([*map(clean_line, remarks), _listed(wanted), "The chat is read anew with your next message."])


def _listed(now: "Sequence[Scaled]") -> str:
    if not now:
        return f"There are no adapters; {USAGE}."
    return "\n".join(f"{number}  {clean_line(str(one.path))}, scale {one.scale:g}" for number, one in enumerate(now, 1))


def _changed(now: "tuple[Scaled, ...]", given: Sequence[str]) -> "tuple[Scaled, ...]":
    """The adapters as the words say. Raises UsageError for words that say nothing."""
    from llamachat.engine.adapters import Scaled

    name, *rest = given[1:] if given[0] == "add" and given[1:] and not Path("add").exists() else given
    numbers = {str(number): one for number, one in enumerate(now, 1)}
    if name == "off":
        gone = [_known(one, numbers) for one in rest] or [*now]
        return tuple(one for one in now if not any(one is other for other in gone))
    if len(rest) > 1:
        raise UsageError(
            f"/lora takes a file and a scale, not {len(rest) + 1} words (quote a name with blanks); {USAGE}"
        )
    if rest and not SCALE.fullmatch(rest[0]):
        raise UsageError(f"{rest[0]!r} is no scale; {USAGE}")
    scale = float(rest[0]) if rest else 1.0
    if name.isdecimal() and not Path(name).exists():
        old = _known(name, numbers)
        if not rest:
            raise UsageError(f"adapter {name} needs its new scale; {USAGE}")
        return tuple(Scaled(one.path, scale) if one is old else one for one in now)
    path = path_of(name)
    if any(one.path == path for one in now):
        return tuple(Scaled(path, scale) if one.path == path else one for one in now)
    return (*now, Scaled(path, scale))


def _known(number: str, numbers: "dict[str, Scaled]") -> "Scaled":
    if number not in numbers:
        raise UsageError(f"there is no adapter {number}; /lora lists them")
    return numbers[number]


def _words(chat: "Chat", text: str) -> Iterable[tuple[str, str]]:
    """`off`, numbers of adapters, and files."""
    now = chat.responder.model.adapters.asked.lora
    own = [(str(number), one.path.name) for number, one in enumerate(now, 1)]
    return [one for one in (("off", "removes all"), *own) if one[0].startswith(text)] + list(paths(text))


COMMANDS = (
    Command("/lora", "[FILE|N|off] [SCALE]", "the LoRA adapters of the model, added, scaled, removed", saying(_lora),
            _words),
)  # fmt: skip
