"""Values of /set: words that a person typed, and values as a person writes them."""

import re
from collections.abc import Sequence
from typing import Any

from llamachat.engine.sampling.names import DEFAULT_ORDER
from llamachat.errors import UsageError

SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
NONE = ("none", "off")
"""Words that empty a setting of several values."""

_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')


def words_of(text: str) -> list[str]:
    """The words of a text; quotes keep blanks together."""
    return [found[1] or found[2] or found[3] or "" for found in _WORD.finditer(text)]


def written(value: Any) -> str:
    """A value of a setting as a person writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        parts = [f"{one[0]}{one[1]:+g}" if isinstance(one, tuple) else quoted_word(one) for one in value]
        return (";" if value and all(one in DEFAULT_ORDER for one in value) else " ").join(parts) or "none"
    return "off" if value is None else str(value)


def quoted_word(text: str) -> str:
    """A text as one word of /set."""
    spelled = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    if not any(c.isspace() or c in "\"'" for c in spelled):
        return spelled
    return f"'{spelled}'" if '"' in spelled else f'"{spelled}"'


def is_none(words: Sequence[str]) -> bool:
    """Whether the words empty a setting of several values."""
    return len(words) == 1 and words[0].lower() in NONE


def one_of(name: str, words: Sequence[str]) -> str:
    """The only word. Raises UsageError for none or several."""
    if len(words) != 1:
        raise UsageError(f"{name} takes one value, not {len(words)}")
    return words[0]


def switch_of(name: str, text: str) -> bool:
    """Whether a word switches a setting on. Raises UsageError for other words."""
    if text.lower() not in SWITCH:
        raise UsageError(f"{name} is on or off, not {text!r}")
    return SWITCH[text.lower()]


def number_of(name: str, text: str, kind: type[int] | type[float]) -> float:
    """The number that a word is. Raises UsageError for no number."""
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"{name} must be {'a whole number' if kind is int else 'a number'}, not {text!r}") from error


def now_and_usual(now: str, usual: str) -> list[tuple[str, str]]:
    """What completion offers: the value as it is now, and the default one."""
    found = {now: "now", usual: "by default"}
    return [(value, when) for value, when in found.items() if value not in ("off", "none", "")]
