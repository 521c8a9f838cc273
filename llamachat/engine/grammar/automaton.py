"""Position automata of regular trees (Glushkov 1961): what a lexeme begins with, and whether it runs into another.

A position is one character's place in a tree. Repetition counts are forgotten (`{2,5}` counts as `+`), so the
automaton may admit more than the tree; an answer "they do not meet" is certain, "they meet" is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from llamachat.engine.grammar.syntax import (
    Chars,
    Choice,
    Literal,
    Node,
    Ranges,
    Reference,
    Repeat,
    Rules,
    Sequence,
    Token,
)


class TooMuchWork(Exception):
    """More steps would be needed than were granted."""


class Work:
    """Steps that may still be taken: an automaton has up to the square of its positions in `follow`, and walking two
    together costs the product of that.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, n: int) -> None:
        """Takes steps. Raises TooMuchWork where none are left."""
        self._left -= n
        if self._left < 0:
            raise TooMuchWork

    def meet(self, one: Ranges, other: Ranges) -> bool:
        """`meet`, with its steps taken."""
        self.spend(len(one) + len(other))
        return meet(one, other)


@dataclass(frozen=True)
class Automaton:
    """chars[p]: what stands at position p; follow[p]: the positions after it; first, last: where a text may begin and
    end; nullable: whether it may be empty.
    """

    chars: tuple[Ranges, ...]
    follow: tuple[frozenset[int], ...]
    first: frozenset[int]
    last: frozenset[int]
    nullable: bool


def automaton(node: Node, rules: Rules, work: Work) -> Automaton:
    """The automaton of a tree whose references lead, without a cycle, to regular rules."""
    builder = _Builder(rules, work)
    first, last, nullable = builder.visit(node)
    return Automaton(tuple(builder.chars), tuple(frozenset(one) for one in builder.follow), first, last, nullable)


Ends = tuple[frozenset[int], frozenset[int], bool]
_NONE: frozenset[int] = frozenset()


class _Builder:
    """Numbers the positions of a tree from left to right and collects which may follow which."""

    def __init__(self, rules: Rules, work: Work) -> None:
        self._rules, self._work = rules, work
        self.chars: list[Ranges] = []
        self.follow: list[set[int]] = []

    def visit(self, node: Node) -> Ends:
        """Where the tree's texts begin and end, and whether they may be empty."""
        match node:
            case Literal(text):
                return self._in_turn([self._position(((ord(c), ord(c)),)) for c in text])
            case Chars(ranges):
                return self._position(ranges)
            case Sequence(parts):
                return self._in_turn([self.visit(part) for part in parts])
            case Choice(options):
                ends = [self.visit(option) for option in options]
                firsts, lasts, empties = zip(*ends, strict=True)
                return _NONE.union(*firsts), _NONE.union(*lasts), any(empties)
            case Repeat(body, least, most):
                first, last, nullable = self.visit(body)
                if most != 1:
                    self._link(last, first)
                return first, last, nullable or least == 0
            case Reference(name):
                return self.visit(self._rules[name])
            case Token():
                raise AssertionError("a token is no part of a lexeme")

    def _position(self, ranges: Ranges) -> Ends:
        self.chars.append(ranges)
        self.follow.append(set())
        here = frozenset((len(self.chars) - 1,))
        return here, here, False

    def _in_turn(self, ends: list[Ends]) -> Ends:
        first, last, nullable = _NONE, _NONE, True
        for its_first, its_last, is_empty in ends:
            self._link(last, its_first)
            first = first | its_first if nullable else first
            last = last | its_last if is_empty else its_last
            nullable = nullable and is_empty
        return first, last, nullable

    def _link(self, sources: frozenset[int], targets: frozenset[int]) -> None:
        self._work.spend(len(sources) * len(targets))
        for source in sources:
            self.follow[source] |= targets


def meet(one: Ranges, other: Ranges) -> bool:
    """Whether two sorted lists of ranges have a character in common."""
    i = j = 0
    while i < len(one) and j < len(other):
        if one[i][1] < other[j][0]:
            i += 1
        elif other[j][1] < one[i][0]:
            j += 1
        else:
            return True
    return False


@dataclass(frozen=True)
class Overlap:
    """How two lexemes relate: same: some text is both; following: per text of the first that is a proper beginning of
    one of the second, the characters with which the second continues.
    """

    same: bool
    following: frozenset[Ranges]


def overlap(short: Automaton, long: Automaton, work: Work) -> Overlap:
    """Walks both automata together, over the texts that both can begin with."""
    pairs = {(p, q) for p in short.first for q in long.first if work.meet(short.chars[p], long.chars[q])}
    pending = list(pairs)
    same, following = False, set()
    while pending:
        p, q = pending.pop()
        work.spend((len(short.follow[p]) + 1) * (len(long.follow[q]) + 1))
        if p in short.last:
            same = same or q in long.last
            following |= {long.chars[step] for step in long.follow[q]}
        for p_next in short.follow[p]:
            for q_next in long.follow[q]:
                pair = (p_next, q_next)
                if pair not in pairs and work.meet(short.chars[p_next], long.chars[q_next]):
                    pairs.add(pair)
                    pending.append(pair)
    return Overlap(same, frozenset(following))
