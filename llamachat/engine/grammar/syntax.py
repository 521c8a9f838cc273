"""What a grammar is made of: the tree that the GBNF parser writes and everything else reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LARGEST_CODE_POINT = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Literal:
    """These characters, at least one."""

    text: str


@dataclass(frozen=True)
class Chars:
    """One character out of ranges of code points, both ends included; sorted and apart, at least one."""

    ranges: Ranges


@dataclass(frozen=True)
class Token:
    """One token of a model's vocabulary, or with `others` any but that one. name: its number or text, `[12]`, `<x>`."""

    name: str
    others: bool = False


@dataclass(frozen=True)
class Sequence:
    """Its parts, one after the other; no part is the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of its options."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """`body`, `least` to `most` times; most None is without end."""

    body: Node
    least: int
    most: int | None


@dataclass(frozen=True)
class Reference:
    """Another rule."""

    name: str


Node = Literal | Chars | Token | Sequence | Choice | Repeat | Reference
Rules = Mapping[str, Node]
EMPTY = Sequence(())


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case Sequence(parts):
            return parts
        case Choice(options):
            return options
        case Repeat(body):
            return (body,)
        case _:
            return ()


def references(node: Node) -> Iterator[str]:
    """Names of the rules that a tree refers to, in the order of the text, as often as they stand there."""
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, Reference):
            yield one.name
        pending += reversed(children(one))


def tokens(node: Node) -> Iterator[Token]:
    """The tokens in a tree, in the order of the text."""
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, Token):
            yield one
        pending += reversed(children(one))


def sequence(parts: list[Node]) -> Node:
    """The parts one after the other; a single one is itself.

    Repetitions of the same are one: the states of `a? a? a?` grow with the square of their number, those of `a{0,3}`
    do not.
    """
    kept: list[Node] = []
    for part in parts:
        together = _together(kept[-1], part) if kept else None
        if together is not None:
            kept[-1] = together
        elif part != EMPTY:
            kept.append(part)
    return kept[0] if len(kept) == 1 else Sequence(tuple(kept))


def _together(one: Node, other: Node) -> Repeat | None:
    """Two neighbours as one repetition, if they repeat the same."""
    if not isinstance(one, Repeat) and not isinstance(other, Repeat):
        return None
    (body, least, most), (other_body, other_least, other_most) = _repeated(one), _repeated(other)
    if body != other_body:
        return None
    return Repeat(body, least + other_least, None if most is None or other_most is None else most + other_most)


def _repeated(node: Node) -> tuple[Node, int, int | None]:
    return (node.body, node.least, node.most) if isinstance(node, Repeat) else (node, 1, 1)


def choice(options: list[Node]) -> Node:
    """One of the options, of which the same ones are merged; a single one is itself."""
    distinct = tuple(dict.fromkeys(options))
    return distinct[0] if len(distinct) == 1 else Choice(distinct)


def united(ranges: list[tuple[int, int]]) -> Ranges:
    """Ranges sorted, with those that overlap or touch made one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def complement(ranges: Ranges) -> Ranges:
    """Every character outside of `ranges`; surrogates are none."""
    outside, start = [], 0
    for first, last in united([*ranges, SURROGATES]):
        if first > start:
            outside.append((start, first - 1))
        start = last + 1
    if start <= LARGEST_CODE_POINT:
        outside.append((start, LARGEST_CODE_POINT))
    return tuple(outside)
