"""Beginnings of texts of a grammar, made by chance: what it must be able to read before anybody waits for an answer."""

from __future__ import annotations

import random
from collections.abc import Iterator

from llamachat.engine.grammar.syntax import Chars, Choice, Literal, Node, Reference, Repeat, Rules, Sequence, Token

N_SAMPLES = 2
MOST_STEPS = 4_000
MOST_PIECES = 200
MOST_ROUNDS = 40
"""Rounds of a repetition beyond those that must be."""


def samples(rules: Rules, root: str) -> Iterator[list[str | Token]]:
    """A few texts, each as its pieces; long ones are cut."""
    for seed in range(N_SAMPLES):
        yield _sample(rules, root, random.Random(seed))


def _sample(rules: Rules, root: str, chance: random.Random) -> list[str | Token]:
    pieces: list[str | Token] = []
    pending: list[Node] = [Reference(root)]
    for _ in range(MOST_STEPS):
        if not pending or len(pieces) >= MOST_PIECES:
            break
        match pending.pop():
            case Literal(text):
                pieces.append(text)
            case Chars(ranges):
                pieces.append(chr(chance.randint(*chance.choice(ranges))))
            case Token() as token:
                pieces.append(token)
            case Sequence(parts):
                pending += reversed(parts)
            case Choice(options):
                pending.append(chance.choice(options))
            case Repeat(body, least, most):
                spare = MOST_ROUNDS if most is None else min(MOST_ROUNDS, most - least)
                pending += [body] * min(least + chance.choice([0, chance.randint(0, spare), spare]), MOST_STEPS)
            case Reference(name):
                pending.append(rules[name])
    return pieces
