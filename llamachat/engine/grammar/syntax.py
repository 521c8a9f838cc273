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


Node = Literal | Chars | Sequence | Choice | Repeat | Reference
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


def sequence(parts: list[Node]) -> Node:
    """The parts one after the other; a single one is itself."""
    kept = [part for part in parts if part != EMPTY]
    return kept[0] if len(kept) == 1 else Sequence(tuple(kept))


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
