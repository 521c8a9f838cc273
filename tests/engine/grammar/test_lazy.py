"""A grammar that sleeps until the text calls for it."""

import json

import numpy as np
import pytest
from byte_vocabulary import ByteVocabulary

from llamachat.engine.grammar import GrammarSource, LazyGrammar
from llamachat.engine.sampling.candidates import Candidates

CALL = GrammarSource.json_schema('{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}')
SPELLED = 256
"""The control token of the byte vocabulary, whose name is the mark."""


class Spelled(ByteVocabulary):
    def piece_bytes(self, token, special=False):
        return b"[CALL]" if special and token == SPELLED else super().piece_bytes(token)


def started(mark, at_start=False, text=b""):
    constraint = LazyGrammar(((mark, CALL),), at_start).constraint(Spelled())
    constraint.begin()
    for byte in text:
        constraint.accept(byte)
    return constraint


def admitted(constraint):
    candidates = Candidates(np.arange(Spelled().n_vocab), np.zeros(Spelled().n_vocab, np.float32))
    constraint.apply(candidates)
    return {int(t) for t, logit in zip(candidates.ids, candidates.logits, strict=True) if logit > -np.inf}


def free(constraint):
    return len(admitted(constraint)) == Spelled().n_vocab


@pytest.mark.parametrize("text", [b"", b"Hello {", b"<cal", "\u00e9".encode()[:1]])
def test_text_is_free_until_the_mark(text):
    assert free(started("<call>", text=text))


def test_after_the_mark_only_the_grammar_s_text_is_admitted_and_then_all_again():
    constraint = started("<call>", text=b"Let me see. <call>")
    assert {Spelled().piece_bytes(token) for token in admitted(constraint)} == {b"{", b'{"'}
    for byte in b'{"a":1}':
        assert byte in admitted(constraint)
        constraint.accept(byte)
    assert free(constraint)
    for byte in b" And <call>":
        constraint.accept(byte)
    assert not free(constraint)


def test_a_control_token_can_be_the_mark():
    constraint = started(r"\[CALL\]")
    constraint.accept(SPELLED)
    assert not free(constraint)


def test_what_a_token_says_after_the_mark_is_part_of_the_grammar_s_text():
    constraint = started(r"\s*(?=\{)", at_start=True)
    constraint.accept(next(t for t in range(Spelled().n_vocab) if Spelled().piece_bytes(t) == b'{"'))
    assert admitted(constraint) == {ord("a")}


def test_a_mark_at_the_start_is_none_later():
    assert free(started(r"\s*(?=\{)", at_start=True, text=b'Well, {"b'))


@pytest.mark.parametrize("once", [True, False])
def test_a_mark_at_the_start_wakes_the_grammar_once(once):
    constraint = LazyGrammar((("<", GrammarSource.gbnf('root ::= "x"')),), once).constraint(Spelled())
    constraint.begin()
    woken = []
    for byte in b"<x<":
        constraint.accept(byte)
        woken.append(not free(constraint))
    assert woken == [True, False, not once]
    constraint.begin()
    constraint.accept(ord("<"))
    assert not free(constraint)


def test_a_mark_at_the_start_that_no_text_of_the_grammar_follows_is_not_looked_for_again():
    constraint = LazyGrammar(((r"\{", GrammarSource.gbnf('root ::= "x"')),), at_start=True).constraint(Spelled())
    constraint.begin()
    constraint.accept(next(t for t in range(Spelled().n_vocab) if Spelled().piece_bytes(t) == b'{"'))
    constraint.accept(ord("{"))
    assert free(constraint)


def test_a_mark_at_the_start_is_looked_for_only_there():
    assert free(started(r"\s*(?=\{)", at_start=True, text=b" " * 600 + b"{"))
    assert not free(started(r"\s*(?=\{)", at_start=True, text=b" " * 30 + b"{"))


def test_what_is_no_text_of_the_grammar_stays_free():
    constraint = started(r'(?=")', at_start=True)
    constraint.accept(next(t for t in range(Spelled().n_vocab) if Spelled().piece_bytes(t) == b'", "'))
    assert free(constraint)


def test_the_prompt_wakes_nothing():
    constraint = LazyGrammar((("<call>", CALL),)).constraint(Spelled())
    for byte in b"<call>":
        constraint.accept(byte)
    constraint.begin()
    assert free(constraint)
    assert not constraint.finished


def test_random_text_after_a_mark_is_always_json():
    random = np.random.default_rng(0)
    constraint = started("<call>", text=b"<call>")
    said = b""
    while not free(constraint):
        choices = sorted(admitted(constraint) - {257, 258})
        digits = [t for t in choices if Spelled().piece_bytes(t) in (b"}", b'"', b"a")]
        token = int(random.choice(digits or choices))
        constraint.accept(token)
        said += Spelled().piece_bytes(token)
    assert isinstance(json.loads(said)["a"], int)
