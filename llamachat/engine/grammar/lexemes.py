"""Which parts of a grammar llguidance may read as lexemes, so that its text is exactly that of the GBNF rules.

llguidance reads text as lexemes (regular expressions, fast) that a context-free grammar puts in order. Its lexer is
greedy: a lexeme ends only where no lexeme that is allowed at this place continues. GBNF knows no lexemes, so a greedy
lexer must not change what a grammar admits. A grammar without recursion is one lexeme, and there is nothing to choose.
In others the regular parts are lexemes, and what stands in the way is broken into smaller ones:

    lexeme B is broken, if some text w is a lexeme A, w followed by a character c is the beginning of a text of B,
    A and B may be asked for at the same place, and c may follow A.

Single characters are never broken: UTF-8 has no character that begins another. So this ends, and where it ends, a
lexer that continues as long as it can never passes an end that the grammar needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from llamachat.engine.grammar.automaton import Automaton, Overlap, TooMuchWork, Work, automaton, overlap
from llamachat.engine.grammar.checks import ROOT, can_be_empty, empty_rules, having, users_of
from llamachat.engine.grammar.syntax import (
    EMPTY,
    Chars,
    Choice,
    Literal,
    Node,
    Reference,
    Repeat,
    Rules,
    Sequence,
    Token,
    children,
    choice,
    references,
    sequence,
    tokens,
)

LEXEME = "#"
"""What the names of lexemes begin with; no rule's name can."""

LARGEST_EXPRESSION = 20_000
"""The size of a lexeme with the rules that it refers to written out: operators, classes and 16ths of literals."""

DEEPEST_EXPRESSION = 60
LARGEST_COMPARED = 2_000
"""Larger lexemes are not compared with others but broken."""

MOST_COMPARED = 300
MOST_WORK = 2_000_000
"""With more lexemes than this, or more steps to compare them (a second), none is compared: every character is one."""


@dataclass(frozen=True)
class Lexical:
    """A grammar of lexemes: in `rules`, a reference to "#3" means `lexemes[3]`; others mean rules."""

    rules: dict[str, Node]
    lexemes: list[Node]


class RegularRules:
    """The rules that are regular expressions: they refer to such rules only, and are not too large written out."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._sizes: dict[str, tuple[int, int]] = {}
        self.empty = empty_rules(rules)
        having(rules, self._measure)

    def _measure(self, name: str, node: Node, _found: Collection[str]) -> bool:
        """Whether a rule is regular, as far as is known yet; its size is noted then."""
        if not self.is_regular(node):
            return False
        n, depth = self.size(node)
        if n <= LARGEST_EXPRESSION and depth <= DEEPEST_EXPRESSION:
            self._sizes[name] = n, depth
        return name in self._sizes

    def is_regular(self, node: Node) -> bool:
        """Whether a tree refers to regular rules only, and has no tokens."""
        return all(name in self._sizes for name in references(node)) and not any(tokens(node))

    def size(self, node: Node) -> tuple[int, int]:
        """A regular tree's size (as in LARGEST_EXPRESSION) and depth."""
        match node:
            case Reference(name):
                n, depth = self._sizes[name]
                return n, depth + 1
            case Literal(text):
                return 1 + len(text) // 16, 1
            case _:
                sizes = [self.size(child) for child in children(node)]
                return 1 + sum(n for n, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)

    def without_empty(self, node: Node) -> Node | None:
        """A tree for the same texts except the empty one; None where that would be a large one."""
        if not can_be_empty(node, self.empty):
            return node
        match node:
            case Reference(name):
                return self.without_empty(self.rules[name])
            case Choice(options):
                kept = [self.without_empty(option) for option in options if option != EMPTY]
                return choice([one for one in kept if one is not None]) if kept and None not in kept else None
            case Repeat(body, _, most):
                body = self.without_empty(body) or EMPTY
                return None if body == EMPTY else body if most == 1 else Repeat(body, 1, most)
            case _:
                return None


class Reading:
    """One way to read a grammar as lexemes: everything regular that is not in `broken`.

    None breaks everything; rules stay rules then, as written out they can be more than the parser has room for.
    """

    def __init__(self, regular: RegularRules, broken: set[Node] | None) -> None:
        self._regular, self._broken = regular, broken
        self.rules: dict[str, Node] = {}
        self.lexemes: dict[Node, int] = {}
        pending = [ROOT]
        while pending:
            name = pending.pop()
            if name not in self.rules:
                self.rules[name] = self._read(regular.rules[name])
                pending += [one for one in references(self.rules[name]) if not one.startswith(LEXEME)]

    def _read(self, node: Node) -> Node:
        """The tree with its lexemes as references to their numbers."""
        lexeme = self._lexeme(node)
        if lexeme is not None:
            number = Reference(f"{LEXEME}{self.lexemes.setdefault(lexeme, len(self.lexemes))}")
            return Repeat(number, 0, 1) if can_be_empty(node, self._regular.empty) else number
        match node:
            case Literal(text):
                return Sequence(tuple(self._read(Chars(((ord(c), ord(c)),))) for c in text))
            case Sequence(parts):
                return sequence([self._read(part) for part in parts])
            case Choice(options):
                return choice([self._read(option) for option in options])
            case Repeat(body, least, most):
                return Repeat(self._read(body), least, most)
            case Reference(name):
                is_lexical = self._broken is not None and self._regular.is_regular(node)
                return self._read(self._regular.rules[name]) if is_lexical else node
            case _:
                return node

    def _lexeme(self, node: Node) -> Node | None:
        """The tree without its empty text, if it may be a lexeme."""
        if node == EMPTY or not self._regular.is_regular(node):
            return None
        found = self._regular.without_empty(node)
        if found is None or isinstance(found, Chars):
            return found
        if self._broken is None or found in self._broken:
            return None
        size, depth = self._regular.size(found)
        return found if size <= LARGEST_COMPARED and depth <= DEEPEST_EXPRESSION else None


def readings(rules: Rules) -> Iterator[Lexical]:
    """The rules as grammars of lexemes, which llguidance reads without changing what they admit.

    The first is the quickest; the last, in which every character is one, needs no large lexemes.
    """
    rules = {name: without_tail_recursion(name, node) for name, node in rules.items()}
    regular = RegularRules(rules)
    if regular.is_regular(Reference(ROOT)):
        yield Lexical({ROOT: Reference(f"{LEXEME}0")}, [written_out(rules[ROOT], rules)])
    elif (reading := _compared(regular)) is not None:
        yield _written(reading, rules)
    yield _written(Reading(regular, None), rules)


def _written(reading: Reading, rules: Rules) -> Lexical:
    return Lexical(reading.rules, [written_out(node, rules) for node in reading.lexemes])


def _compared(regular: RegularRules) -> Reading | None:
    """The reading in which no lexeme stands in the way of another; None where finding it takes too much work."""
    broken: set[Node] = set()
    comparison = Comparison(regular.rules, Work(MOST_WORK))
    reading = Reading(regular, broken)
    try:
        while len(reading.lexemes) <= MOST_COMPARED and (found := comparison.in_the_way(reading)):
            broken |= found
            reading = Reading(regular, broken)
    except TooMuchWork:
        return None
    return reading if len(reading.lexemes) <= MOST_COMPARED else None


def written_out(node: Node, rules: Rules) -> Node:
    """A regular tree with every reference replaced by its rule."""
    match node:
        case Reference(name):
            return written_out(rules[name], rules)
        case Sequence(parts):
            return Sequence(tuple(written_out(part, rules) for part in parts))
        case Choice(options):
            return Choice(tuple(written_out(option, rules) for option in options))
        case Repeat(body, least, most):
            return Repeat(written_out(body, rules), least, most)
        case _:
            return node


class Comparison:
    """Finds the lexemes that stand in the way of others; remembers how two of them overlap."""

    def __init__(self, rules: Rules, work: Work) -> None:
        self._rules, self._work = rules, work
        self._automata: dict[Node, Automaton] = {}
        self._overlaps: dict[tuple[int, int], Overlap] = {}

    def in_the_way(self, reading: Reading) -> set[Node]:
        """The lexemes that must be broken."""
        automata = [self._automaton(node) for node in reading.lexemes]
        order = Order(reading, len(automata))
        together = self._together(automata, order)
        broken = 0
        for short, others in enumerate(together):
            starts = [one.chars[p] for one in (automata[i] for i in bits(order.after[short])) for p in one.first]
            for long in bits(others & ~broken):
                following = self._overlap(automata[short], automata[long]).following
                if any(self._work.meet(one, start) for one in following for start in starts):
                    broken |= 1 << long
        return {node for number, node in enumerate(reading.lexemes) if broken >> number & 1}

    def _together(self, automata: list[Automaton], order: Order) -> list[int]:
        """For each lexeme, those (as a mask) that may be asked for where it is, after the same text.

        At the beginning these are all that may be first; then, behind lexemes that were read together and can be the
        same text, all that follow the one and the other.
        """
        together = [0] * len(automata)
        pending: list[tuple[int, int]] = []

        def note(ones: int, others: int) -> None:
            self._work.spend(ones.bit_count())
            for one in bits(ones):
                fresh = others & ~together[one]
                together[one] |= fresh
                pending.extend((one, other) for other in bits(fresh))

        note(order.first, order.first)
        while pending:
            one, other = pending.pop()
            if self._overlap(automata[one], automata[other]).same:
                note(order.after[one], order.after[other])
        return together

    def _overlap(self, short: Automaton, long: Automaton) -> Overlap:
        pair = id(short), id(long)  # a hash of the automata, or of their trees, would read them whole
        if pair not in self._overlaps:
            self._overlaps[pair] = overlap(short, long, self._work)
        return self._overlaps[pair]

    def _automaton(self, node: Node) -> Automaton:
        if node not in self._automata:
            self._automata[node] = automaton(node, self._rules, self._work)
        return self._automata[node]


Borders = tuple[int, int]


class Order:
    """Which lexemes may come first and which after which. Sets of lexemes are masks: bit i is lexeme i."""

    def __init__(self, reading: Reading, n_lexemes: int) -> None:
        self._empty = empty_rules(reading.rules)
        self._borders: dict[str, Borders] = {}
        self.after = [0] * n_lexemes
        users = users_of(reading.rules)
        pending = list(reading.rules)
        while pending:
            name = pending.pop()
            borders = self._visit(reading.rules[name])
            if self._borders.get(name) != borders:
                self._borders[name] = borders
                pending += users[name]
        self.first = self._borders[ROOT][0]

    def _visit(self, node: Node) -> Borders:
        """The lexemes that a tree's texts may begin and end with; notes what follows what inside."""
        match node:
            case Reference(name):
                if not name.startswith(LEXEME):
                    return self._borders.get(name, (0, 0))
                alone = 1 << int(name.removeprefix(LEXEME))
                return alone, alone
            case Choice(options):
                borders = [self._visit(option) for option in options]
                return _union(first for first, _ in borders), _union(last for _, last in borders)
            case Repeat(body, _, most):
                first, last = self._visit(body)
                if most != 1:
                    self._link(last, first)
                return first, last
            case Sequence(parts):
                return self._in_turn(parts)
            case Token():
                return 0, 0
            case _:
                raise AssertionError(f"{node} is not read as a lexeme")

    def _in_turn(self, parts: tuple[Node, ...]) -> Borders:
        first, last, nullable = 0, 0, True
        for part in parts:
            its_first, its_last = self._visit(part)
            self._link(last, its_first)
            is_empty = can_be_empty(part, self._empty)
            first |= its_first if nullable else 0
            last = its_last | (last if is_empty else 0)
            nullable = nullable and is_empty
        return first, last

    def _link(self, sources: int, targets: int) -> None:
        for source in bits(sources):
            self.after[source] |= targets


def _union(masks: Iterator[int]) -> int:
    total = 0
    for mask in masks:
        total |= mask
    return total


def bits(mask: int) -> Iterator[int]:
    """The places of a mask's ones, rising."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def without_tail_recursion(name: str, node: Node) -> Node:
    """A rule `a ::= x a | y` as `x* y`, where that is all its recursion; else the rule itself.

    Repetition is regular, and the parser that is behind it keeps no record of each round.
    """
    ways = _ways(name, node) if name in references(node) else None
    if ways is None:
        return node
    rounds = [parts for parts, continues in ways if continues]
    ends = [parts for parts, continues in ways if not continues]
    return sequence([Repeat(choice([sequence(one) for one in rounds]), 0, None), choice([sequence(e) for e in ends])])


Ways = list[tuple[list[Node], bool]]


def _ways(name: str, node: Node) -> Ways | None:
    """The ways through a rule, each as its parts and whether the rule itself follows them; None if it is inside."""
    match node:
        case Reference(other) if other == name:
            return [([], True)]
        case _ if name not in references(node):
            return [([node], False)]
        case Choice(options):
            found = [_ways(name, option) for option in options]
            return None if None in found else [way for ways in found if ways is not None for way in ways]
        case Repeat(body, 0, 1):
            inner = _ways(name, body)
            return None if inner is None else [*inner, ([], False)]
        case Sequence(parts) if not any(name in references(part) for part in parts[:-1]):
            inner = _ways(name, parts[-1])
            return None if inner is None else [([*parts[:-1], *rest], continues) for rest, continues in inner]
    return None
