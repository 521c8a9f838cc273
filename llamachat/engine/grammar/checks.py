"""What the rules of a grammar must be together: all defined, none left-recursive, each with an end.

Nothing here recurses from rule to rule, so that a chain of any length costs time in proportion and no stack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from difflib import get_close_matches

from llamachat.engine.grammar.gbnf import Grammar
from llamachat.engine.grammar.syntax import Choice, Literal, Node, Reference, Repeat, Rules, Sequence, references

ROOT = "root"
Test = Callable[[str, Node, Collection[str]], bool]
"""Whether a rule (name, tree) has a property, given the names of rules that are known to have it."""


def check_grammar(grammar: Grammar) -> None:
    """Raises GrammarSyntaxError for a missing root, an undefined rule, left recursion, or a rule without an end."""
    rules = grammar.rules
    if ROOT not in rules:
        raise grammar.error(f"there is no rule {ROOT!r}, where the text would begin", 0)
    for name, place in grammar.first_uses.items():
        if name not in rules:
            close = get_close_matches(name, rules, 1)
            hint = f" (did you mean {close[0]!r:.60}?)" if close else ""
            raise grammar.error(f"there is no rule {name!r:.60}{hint}", place)
    cycle = left_recursion(rules)
    if cycle:
        way = " → ".join(cycle if len(cycle) <= 8 else [*cycle[:4], "...", *cycle[-3:]])
        raise grammar.error(
            f"left recursion: {way}; let the rule begin with something else, or repeat with * or +",
            grammar.places[cycle[0]],
        )
    finite = having(rules, lambda _, node, found: can_end(node, found))
    for name, place in grammar.places.items():
        if name not in finite:
            raise grammar.error(f"the rule {name!r:.60} has no end: each way through it leads to itself again", place)


def having(rules: Rules, test: Test) -> set[str]:
    """The least set of rules that have a property, which passes from rules to those that refer to them."""
    users = users_of(rules)
    found: set[str] = set()
    pending = list(rules)
    while pending:
        name = pending.pop()
        if name not in found and test(name, rules[name], found):
            found.add(name)
            pending += users[name]
    return found


def users_of(rules: Rules) -> defaultdict[str, list[str]]:
    """For each rule, the rules that refer to it."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for name, node in rules.items():
        for used in dict.fromkeys(references(node)):
            users[used].append(name)
    return users


def empty_rules(rules: Rules) -> set[str]:
    """The rules that admit the empty text."""
    return having(rules, lambda _, node, found: can_be_empty(node, found))


def can_be_empty(node: Node, empty: Collection[str]) -> bool:
    """Whether the tree admits the empty text, when the rules in `empty` do."""
    match node:
        case Sequence(parts):
            return all(can_be_empty(part, empty) for part in parts)
        case Choice(options):
            return any(can_be_empty(option, empty) for option in options)
        case Repeat(body, least):
            return least == 0 or can_be_empty(body, empty)
        case Reference(name):
            return name in empty
        case _:
            return False


def can_end(node: Node, finite: Collection[str]) -> bool:
    """Whether the tree admits some finite text, when the rules in `finite` do."""
    match node:
        case Sequence(parts):
            return all(can_end(part, finite) for part in parts)
        case Choice(options):
            return any(can_end(option, finite) for option in options)
        case Repeat(body, least):
            return least == 0 or can_end(body, finite)
        case Reference(name):
            return name in finite
        case _:
            return True


def left_recursion(rules: Rules) -> list[str]:
    """A cycle of rules, each of which can begin with the next, first and last the same; [] if there is none."""
    empty = empty_rules(rules)
    starts = {name: _left(node, empty) for name, node in rules.items()}
    done: set[str] = set()
    for first in rules:
        path, on_path, pending = [], set(), [(first, iter(starts[first]))] if first not in done else []
        if pending:
            path, on_path = [first], {first}
        while pending:
            name, following = pending[-1]
            step = next((one for one in following if one not in done), None)
            if step is None:
                pending.pop()
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif step in on_path:
                return [*path[path.index(step) :], step]
            else:
                pending.append((step, iter(starts[step])))
                path.append(step)
                on_path.add(step)
    return []


def _left(node: Node, empty: Collection[str]) -> tuple[str, ...]:
    """The rules that the tree can begin with, possibly after empty texts."""
    found: dict[str, None] = {}
    pending = [node]
    while pending:
        match pending.pop():
            case Reference(name):
                found[name] = None
            case Choice(options):
                pending += reversed(options)
            case Repeat(body):
                pending.append(body)
            case Sequence(parts):
                n_leading = next((i for i, part in enumerate(parts) if not can_be_empty(part, empty)), len(parts) - 1)
                pending += reversed(parts[: n_leading + 1])
            case Literal() | _:
                pass
    return tuple(found)
