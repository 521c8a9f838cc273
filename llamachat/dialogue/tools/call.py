"""A call of a tool as a model has written it, and the JSON within, read with limits.

What a model writes is foreign input: it may nest a thousand levels deep, hold half a character or a number that JSON
does not know. Whatever is read here can be kept, rendered and run afterwards.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from llamachat.errors import LlamaChatError
from llamachat.templates.given import LARGEST_BITS

DEEPEST = 64
"""Levels of nesting in the arguments of a call: far below what JSON, templates and databases can follow."""


class UnreadableCall(LlamaChatError):
    """Text that begins as a call and is none."""


@dataclass(frozen=True)
class Call:
    """A call that a model has written."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """An answer, read: what was said besides, and the calls. problem: what cannot be read as a call, if anything.

    rest: what was said after the last call.
    """

    text: str
    calls: tuple[Call, ...] = ()
    problem: str = ""
    rest: str = ""


def call_of(name: str, arguments: Any) -> Call:
    """A call whose arguments are an object, or the JSON text of one. Raises UnreadableCall."""
    if isinstance(arguments, str):
        arguments = json_of(arguments)
    if not isinstance(arguments, dict):
        raise UnreadableCall(f"a call of {name} whose arguments are no JSON object")
    if depth_of(arguments) > DEEPEST:
        raise UnreadableCall(f"a call of {name} whose arguments nest deeper than {DEEPEST} levels")
    if not _can_be_kept(arguments):
        raise UnreadableCall(f"a call of {name} with a number that is not finite, or has more than {LARGEST_BITS} bits")
    return Call(_whole(name), _whole(arguments))


def json_of(text: str) -> Any:
    """The value of a JSON text; None where it is none."""
    value, end = json_at(text, 0)
    return value if not text[end:].strip() else None


def json_at(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a place, and where it ends; (None, the end) where there is none.

    Raises UnreadableCall for one that nests too deep to be read.
    """
    while at < len(text) and text[at].isspace():
        at += 1
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise UnreadableCall(f"a call that nests deeper than {DEEPEST} levels") from None
    except ValueError:
        return None, len(text)


def depth_of(value: Any) -> int:
    """How many lists and objects lie within one another."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, Mapping) else one)]
    return depth


def shortened(text: str, most: int = 60) -> str:
    """The beginning of a text, for a sentence about it."""
    return text if len(text) <= most else f"{text[:most]}..."


def _can_be_kept(value: Any) -> bool:
    """Whether its numbers are such as JSON and templates take."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return value.bit_length() <= LARGEST_BITS
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return all(map(_can_be_kept, inner))


def _whole(value: Any) -> Any:
    """The value with U+FFFD for every half of a character, which no encoder takes."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_whole(item) for item in value]
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _no_number(text)


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)
