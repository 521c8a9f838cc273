"""How many characters a method of a text, a format or a filter can make, said before it does: an upper bound."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from llamachat.templates.budget import MAX_BYTES, MAX_CHARS, bounded, refuse_size

MAX_BITS = 4096
ITEM_BYTES = 64
"""A piece of a text in a list."""

NUMBER_CHARS = 400
"""The longest number that a format writes without a given width (1e308)."""

REPR_CHARS = 4
r"""Characters of text for a byte in a container ("\x00")."""

LEAN_FILTERS = frozenset({
    "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "forceescape", "format",
    "int", "items", "join", "last", "length", "lower", "map", "max", "min", "random", "reject", "rejectattr", "replace",
    "safe", "select", "selectattr", "string", "tojson", "trim", "upper",
})  # fmt: skip
"""Filters that take a long text without making many pieces of it."""

BACKWARD = frozenset({"rfind", "rindex", "rpartition", "rsplit"})
"""Python looks backwards in time that grows with the product of the lengths; forwards it does not."""

MAX_COMPARED = 20_000_000
"""Characters that such a search may compare: a hundredth of a second."""

MAX_SOURCE = 65_536
"""Characters of a template; jinja2 needs a second and 200 MB for as many. Real ones have a quarter of them at most."""

MAX_TEXT_OF_OTHERS = 200_000
WIDE_FORMAT = re.compile(r"\d{6,}|\*")
_NESTED = re.compile(r"\{[^{}]*\{")


def check_source(source: str) -> None:
    """Raises ValueError for a template that is too long to be read in time."""
    if len(source) > MAX_SOURCE:
        raise ValueError(f"it has {len(source)} characters, and {MAX_SOURCE} are read at most")


def text_chars(value: object, weight: Callable[[object], int]) -> int:
    """At most this many characters has `str(value)`."""
    return len(value) if isinstance(value, str) else REPR_CHARS * weight(value)


def check_format(form: str, values: Iterable[object], weight: Callable[[object], int]) -> None:
    """Refuses a format whose text could be too long: each of its fields may show every value."""
    if WIDE_FORMAT.search(form):
        refuse_size()
    given = list(values)
    n_fields = form.count("%") + form.count("{")
    widths = sum(map(int, re.findall(r"\d+", form)))
    if _NESTED.search(form):  # a width that is a value
        widths += n_fields * sum(abs(value) for value in given if isinstance(value, int))
    shown = sum(text_chars(value, weight) for value in given)
    bounded(len(form) + widths + n_fields * (shown + NUMBER_CHARS))


def check_product(left: Any, right: Any) -> None:
    """Refuses `left * right` if it is too large."""
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_BITS:
            refuse_size()
        return
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, str | bytes | list | tuple) and isinstance(count, int):
            size = 1 if isinstance(sequence, str) else 8
            bounded(size * len(sequence) * count)


def check_power(left: Any, right: Any) -> None:
    """Refuses `left ** right` if it is too large."""
    if isinstance(left, int) and isinstance(right, int) and right > 0 and left.bit_length() * right > MAX_BITS:
        refuse_size()


def check_sum(left: Any, right: Any) -> None:
    """Refuses `left + right` if it is too long."""
    if isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        bounded(len(left) + len(right))


def check_method(text: str, name: str, given: Sequence[object]) -> None:
    """Refuses a call of a text's method that could make too much, or that could search for minutes."""
    if name in BACKWARD:
        needles = [len(value) for value in given if isinstance(value, str)]
        if len(text) * max(needles, default=0) > MAX_COMPARED:
            refuse_size()
    if name in _METHODS:
        bounded(_METHODS[name](text, [*given, None, None]))


def check_filter(name: str, given: Sequence[object], weight: Callable[[object], int]) -> None:
    """Refuses a filter that could make too much of a text: many pieces, or one with every width and text added."""
    if name == "replace" and isinstance(given[0], str):
        check_method(given[0], name, [value if isinstance(value, str) else "?" for value in given[1:3]])
    elif name == "replace":
        bounded(text_chars(given[0], weight) * max(text_chars(value, weight) for value in given))
    if name in LEAN_FILTERS:
        return
    texts = [len(value) for value in given if isinstance(value, str)]
    widths = [abs(value) for value in given if isinstance(value, int)]
    if any(length > MAX_TEXT_OF_OTHERS for length in [*texts, *widths]):
        refuse_size()
    if texts:
        bounded((texts[0] + 1) * (1 + sum(texts[1:]) + sum(widths)))


def check_json(weight: int, indent: object, separators: object) -> None:
    r"""Refuses JSON that could be too long. A byte is at most six characters ("\u0000"), an item at least 8 bytes."""
    added = sum(len(one) for one in separators if isinstance(one, str)) if isinstance(separators, list | tuple) else 2
    if indent is not None and not (isinstance(indent, int) and indent <= 16) and not (
        isinstance(indent, str) and len(indent) <= 16
    ):  # fmt: skip
        refuse_size()
    bounded(6 * weight + weight // 8 * added)


def _replaced(text: str, given: Sequence[object]) -> int:
    old, new = given[:2]
    if not isinstance(old, str) or not isinstance(new, str):
        return 0
    return len(text) + text.count(old) * max(0, len(new) - len(old))


def _translated(text: str, given: Sequence[object]) -> int:
    table = given[0]
    values: Iterable[object] = table.values() if isinstance(table, Mapping) else table  # type: ignore[assignment]
    return len(text) * max((len(value) for value in values if isinstance(value, str)), default=1)


def _widened(text: str, given: Sequence[object]) -> int:
    return max([len(text), *(value for value in given if isinstance(value, int))])


def _tabs_expanded(text: str, given: Sequence[object]) -> int:
    width = given[0] if isinstance(given[0], int) else 8
    return len(text) + text.count("\t") * max(0, width)


def _cut(text: str, given: Sequence[object]) -> int:
    """In characters, as many as the pieces' bytes are worth."""
    separator = given[0]
    pieces = text.count(separator) + 1 if isinstance(separator, str) and separator else len(text) // 2
    return len(text) + pieces * ITEM_BYTES * MAX_CHARS // MAX_BYTES


def _mapped(_text: str, given: Sequence[object]) -> int:
    return ITEM_BYTES * sum(len(value) for value in given if isinstance(value, str | Mapping))


_METHODS: Mapping[str, Callable[[str, Sequence[object]], int]] = {
    "center": _widened,
    "expandtabs": _tabs_expanded,
    "ljust": _widened,
    "maketrans": _mapped,
    "replace": _replaced,
    "rjust": _widened,
    "rsplit": _cut,
    "split": _cut,
    "splitlines": lambda text, _: _cut(text, [None]),
    "translate": _translated,
    "zfill": _widened,
}
