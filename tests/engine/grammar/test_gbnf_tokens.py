"""Tokens of the model in a grammar, by number and by name, and grammars that can be built but were too much to run."""

import numpy as np
import pytest
from byte_vocabulary import CONTROL, END, ByteVocabulary

from llamachat.engine.grammar import Constraint, GrammarSource
from llamachat.engine.grammar.gbnf import parse_gbnf
from llamachat.engine.grammar.syntax import Literal, Repeat, Sequence, Token
from llamachat.engine.sampling.candidates import Candidates
from llamachat.errors import UsageError


class Named(ByteVocabulary):
    """Whose control token is called <think>; a longer token has the same text as another's part."""

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return b"<think>" if special and token == CONTROL else super().piece_bytes(token)


VOCABULARY = Named()
ABC = next(token for token in range(260, VOCABULARY.n_vocab) if VOCABULARY.piece_bytes(token) == b"abc")


def constraint(text: str) -> Constraint:
    made = GrammarSource.gbnf(text).constraint(VOCABULARY)
    made.begin()
    return made


def admitted(made: Constraint) -> set[int]:
    candidates = Candidates(np.arange(VOCABULARY.n_vocab), np.zeros(VOCABULARY.n_vocab, np.float32))
    made.apply(candidates)
    return set(candidates.ids[candidates.logits > -np.inf].tolist())


def test_tokens_are_read() -> None:
    tree = parse_gbnf('root ::= <think> "a" !</think>* <[12]>').rules["root"]
    parts = (Token("<think>"), Literal("a"), Repeat(Token("</think>", others=True), 0, None), Token("<[12]>"))
    assert tree == Sequence(parts)


@pytest.mark.parametrize("name", ["<think>", f"<[{CONTROL}]>"])
def test_a_token_is_admitted_where_it_stands_and_nothing_else(name: str) -> None:
    made = constraint(f'root ::= {name} [a-c]+ {name} "x"')
    assert admitted(made) == {CONTROL}
    made.accept(CONTROL)
    assert admitted(made) >= {ord("a"), ABC}
    assert CONTROL not in admitted(made)
    made.accept(ABC)
    assert admitted(made) >= {ord("b"), CONTROL}
    made.accept(CONTROL)
    assert admitted(made) == {ord("x")}


def test_any_other_token_is_neither_that_one_nor_an_end() -> None:
    made = constraint('root ::= !<think>* <think> ("a" | <[98]>)')
    for token in (0, ABC, 200):
        assert admitted(made) == set(range(VOCABULARY.n_vocab)) - set(VOCABULARY.eog)
        made.accept(token)
    made.accept(CONTROL)
    assert admitted(made) == {ord("a"), ord("b")}
    made.accept(ord("b"))
    assert END in admitted(made)


def test_tokens_in_a_recursive_grammar() -> None:
    made = constraint('root ::= "(" root ")" | <think>')
    for token in (ord("("), ord("("), CONTROL, ord(")")):
        made.accept(token)
    assert admitted(made) == {ord(")")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("root ::= <no such>", "the model has no token '<no such>'"),
        ("root ::= <[9999]>", "and none of the number 9999"),
    ],
)
def test_a_token_that_the_model_does_not_have_is_refused(text: str, message: str) -> None:
    source = GrammarSource.gbnf(text)
    with pytest.raises(UsageError, match=message):
        source.constraint(VOCABULARY)


@pytest.mark.parametrize(
    ("body", "good", "bad"),
    [
        pytest.param('"a"? ' * 100, "a" * 100, "a" * 101, id="the same"),
        pytest.param("[a-c]? " * 100, "abc" * 33, "d", id="a class"),
        pytest.param('("ab" | "abc" | "bc")? ' * 100, "abbcabc" * 20, "aab", id="words"),
        pytest.param('"a"* "a"+ "a"? "a"{2,3}', "aaa", "aa", id="other counts"),
        pytest.param('[a-d]? "b"? "c"? ' * 80, "abc" * 80, "abc" * 81, id="in turns"),
        pytest.param(
            " ".join(f"[a-{chr(98 + n % 24)}]?" for n in range(150)), "a" * 150, "a" * 151, id="all different"
        ),
    ],
)
def test_many_optional_parts_run(body: str, good: str, bad: str) -> None:
    made = GrammarSource.gbnf(f'root ::= {body} "-"').constraint(VOCABULARY)
    assert made.accepts(f"{good}-")
    assert made.accepts("-") == (body.find("+") < 0)
    assert not made.accepts(f"{bad}-")
