"""Grammars in llguidance's notation, a form of Lark: lexemes are regular expressions, rules put them in order.

`no_forcing`: where a grammar leaves one text only, the model still chooses among that text's tokens. Otherwise
llguidance asks a tokenizer how the text is usually cut, which is the business of the model's probabilities.
Notation: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

from __future__ import annotations

import collections.abc as abc

from llamachat.engine.grammar.checks import ROOT
from llamachat.engine.grammar.lexemes import LEXEME, Lexical
from llamachat.engine.grammar.syntax import Chars, Choice, Literal, Node, Ranges, Reference, Repeat, Sequence, Token

HEADER = '%llguidance {"no_forcing": true}\n'


ALONE, OTHERS = "\0{}\0", "\0^{}\0"
"""Stand for the tokens of a vocabulary that is not known yet, by their place in a list."""


def lark(grammar: Lexical, tokens: abc.Sequence[str] = ()) -> str:
    """The text of a grammar of lexemes. tokens: the names of tokens in it, whose numbers `with_tokens` puts in."""
    names = {name: "start" if name == ROOT else f"r{i}" for i, name in enumerate(grammar.rules)}
    names |= {f"{LEXEME}{number}": f"T{number}" for number in range(len(grammar.lexemes))}
    names |= {name: str(number) for number, name in enumerate(tokens)}
    rules = [f"{names[name]}: {_rule(node, names)}\n" for name, node in grammar.rules.items()]
    lexemes = [f"T{number}: /{expression(node)}/\n" for number, node in enumerate(grammar.lexemes)]
    return HEADER + "".join(rules + lexemes)


def with_tokens(text: str, ids: abc.Sequence[int], ends: abc.Collection[int]) -> str:
    """The text with the numbers of its tokens. ends: the tokens that end a text; none of the others is one of them."""
    for number, token in enumerate(ids):
        others = ",".join(map(str, sorted({token, *ends})))
        text = text.replace(ALONE.format(number), f"<[{token}]>").replace(OTHERS.format(number), f"<[^{others}]>")
    return text


def _rule(node: Node, names: dict[str, str]) -> str:
    match node:
        case Reference(name):
            return names[name]
        case Token(name, others):
            return (OTHERS if others else ALONE).format(names[name])
        case Sequence(parts):
            return " ".join(_rule(part, names) for part in parts) or '""'
        case Choice(options):
            return f"({' | '.join(_rule(option, names) for option in options)})"
        case Repeat(body, least, most):
            return f"({_rule(body, names)}){_times(least, most)}"
        case _:
            raise AssertionError(f"{node} is not part of a grammar of lexemes")


def expression(node: Node) -> str:
    """A tree without references as a regular expression of the Rust crate `regex`."""
    match node:
        case Literal(text):
            return "".join(_character(ord(c)) for c in text)
        case Chars(ranges):
            return _class(ranges)
        case Sequence(parts):
            return "".join(expression(part) for part in parts)
        case Choice(options):
            return f"(?:{'|'.join(expression(option) for option in options)})"
        case Repeat(body, least, most):
            return f"(?:{expression(body)}){_times(least, most)}"
        case Reference() | Token():
            raise AssertionError(f"{node} is no part of a lexeme")


def _times(least: int, most: int | None) -> str:
    """A repetition's operator; `{m,n}` is understood by both notations."""
    return {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most)) or (
        f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
    )


def _class(ranges: Ranges) -> str:
    inside = (_character(a) if a == b else f"{_character(a)}-{_character(b)}" for a, b in ranges)
    return f"[{''.join(inside)}]"


def _character(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\x{{{code:x}}}"
