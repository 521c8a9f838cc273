"""The constraint as a sampler: what it leaves of the candidates, when it ends, and how it fails."""

import numpy as np
import pytest
from byte_vocabulary import CONTROL, END, OTHER_END, UNUSED, ByteVocabulary

from llamachat.engine.grammar import GrammarSource
from llamachat.engine.grammar.vocabulary import guarded, token_tree
from llamachat.engine.sampling.candidates import Candidates
from llamachat.errors import ExitCode, GrammarError

ENDS = {END, OTHER_END}


def admitted(constraint, n=None, logits=None):
    """The tokens that a choice could fall on, all others having -inf or being gone."""
    if logits is None:
        logits = np.zeros(n or ByteVocabulary().n_vocab, np.float32)
    candidates = Candidates(np.arange(logits.size), logits)
    constraint.apply(candidates)
    return {int(token) for token, logit in zip(candidates.ids, candidates.logits, strict=True) if logit > -np.inf}


def token_of(piece):
    vocabulary = ByteVocabulary()
    return next(t for t in reversed(range(vocabulary.n_vocab)) if vocabulary.piece_bytes(t) == piece)


def begun(constraint, text=b""):
    constraint.begin()
    for byte in text:
        constraint.accept(byte)
    return constraint


def test_until_it_begins_a_constraint_admits_and_accepts_everything(gbnf):
    constraint = gbnf('root ::= "a"')
    for token in (*b"a prompt", CONTROL, END):
        constraint.accept(token)
    assert len(admitted(constraint)) == ByteVocabulary().n_vocab
    assert not constraint.finished
    assert not constraint.complete
    constraint.begin()
    assert admitted(constraint) == {ord("a")}


def test_only_tokens_that_continue_the_text_are_admitted(gbnf):
    constraint = begun(gbnf('root ::= "abc" | "ab" [0-9]'))
    assert admitted(constraint) == {ord("a"), token_of(b"ab"), token_of(b"abc")}
    constraint.accept(token_of(b"ab"))
    assert admitted(constraint) == {ord("c"), *b"0123456789"}


def test_end_tokens_are_admitted_exactly_where_the_text_is_complete(gbnf):
    constraint = begun(gbnf('root ::= "a"{2,3}'))
    seen = []
    for byte in b"aaa":
        seen.append((bool(admitted(constraint) & ENDS), constraint.complete, constraint.finished))
        constraint.accept(byte)
    seen.append((admitted(constraint) == ENDS, constraint.complete, constraint.finished))
    assert seen == [(False, False, False), (False, False, False), (True, True, False), (True, True, True)]


def test_control_tokens_and_unused_ones_are_never_admitted(gbnf):
    assert not admitted(begun(gbnf("root ::= .*"))) & {CONTROL, UNUSED}
    text = begun(gbnf('root ::= "</s>" | "<x>"'))
    assert admitted(text) == {ord("<")}


def test_the_empty_text_is_finished_before_the_first_token(gbnf):
    constraint = begun(gbnf('root ::= ""'))
    assert constraint.finished
    assert admitted(constraint) == ENDS


def test_tokens_may_hold_parts_of_characters(gbnf):
    constraint = begun(gbnf('root ::= "é"+ "x"'))
    assert admitted(constraint) == {0xC3, token_of(b"\xc3")}
    constraint.accept(token_of(b"\xc3"))
    assert admitted(constraint) == {0xA9, token_of(b"\xa9\xc3")}
    constraint.accept(token_of(b"\xa9\xc3"))
    assert not constraint.complete
    assert admitted(constraint) == {0xA9, token_of(b"\xa9\xc3")}
    constraint.accept(0xA9)
    constraint.accept(ord("x"))
    assert constraint.finished


def test_a_token_that_begins_a_character_is_admitted_by_a_class_that_has_one(gbnf):
    constraint = begun(gbnf("root ::= [a😀] [a-z]*"))
    assert token_of(b"a\xf0\x9f") not in admitted(constraint)
    assert admitted(constraint) == {ord("a"), 0xF0, token_of(b"ab"), token_of(b"abc")}
    assert token_of(b"\x98\x80a") in admitted(begun(constraint, b"\xf0\x9f"))
    assert admitted(begun(gbnf("root ::= [^\\x00-\\uffff]"))) == {0xF0, 0xF1, 0xF2, 0xF3, 0xF4}


def test_few_admitted_tokens_narrow_the_candidates_and_many_leave_them(gbnf):
    logits = np.arange(ByteVocabulary().n_vocab, dtype=np.float32)
    few, many = (Candidates(np.arange(logits.size), logits) for _ in range(2))
    begun(gbnf('root ::= "b" | "a"')).apply(few)
    assert few.ids.tolist() == [97, 98]
    assert few.logits.tolist() == [97.0, 98.0]
    begun(gbnf("root ::= [^a]+")).apply(many)
    assert many.ids.size == logits.size
    assert many.logits[97] == -np.inf
    assert many.logits[98] == 98
    assert many.logits.dtype == np.float32
    assert logits[97] == 97


@pytest.mark.parametrize("text", ['root ::= "b" | "a"', "root ::= [^a]+"])
def test_candidates_that_others_narrowed_before_are_matched_by_their_ids(gbnf, text):
    candidates = Candidates(np.arange(ByteVocabulary().n_vocab), np.zeros(ByteVocabulary().n_vocab, np.float32))
    candidates.keep(np.array([99, 98, 97, CONTROL]), best_first=True)
    constraint = begun(gbnf(text))
    constraint.apply(candidates)
    left = {int(t) for t, logit in zip(candidates.ids, candidates.logits, strict=True) if logit > -np.inf}
    assert left == ({97, 98} if '"b"' in text else {98, 99})


@pytest.mark.parametrize("text", ['root ::= "b" | "a"', "root ::= [^a]+"])
def test_logits_beyond_the_vocabulary_are_never_admitted(gbnf, text):
    n = ByteVocabulary().n_vocab
    assert max(admitted(begun(gbnf(text)), n + 40)) < n


@pytest.mark.parametrize("text", ['root ::= "b"', "root ::= [^a]+"])
def test_a_model_that_makes_everything_impossible_is_told(gbnf, text):
    logits = np.full(ByteVocabulary().n_vocab, -np.inf, np.float32)
    logits[97] = 1
    with pytest.raises(GrammarError, match=r"every token that the grammar admits here is impossible") as caught:
        admitted(begun(gbnf(text)), logits=logits)
    assert caught.value.exit_code == ExitCode.SCHEMA


def test_a_token_that_is_not_admitted_fails_and_the_constraint_can_begin_again(gbnf):
    constraint = begun(gbnf('root ::= "ab"'))
    with pytest.raises(GrammarError, match=r"the grammar failed at token 98: .*satisfy the grammar"):
        constraint.accept(98)
    with pytest.raises(GrammarError):
        admitted(constraint)
    assert admitted(begun(constraint)) == {97, token_of(b"ab")}


def test_constraints_of_one_source_do_not_share_their_state(vocabulary):
    source = GrammarSource.gbnf('root ::= "ab"')
    one, other = begun(source.constraint(vocabulary), b"a"), begun(source.constraint(vocabulary))
    assert admitted(one) == {98}
    assert admitted(other) == {97, token_of(b"ab")}


def test_the_vocabulary_is_prepared_once(vocabulary):
    assert token_tree(vocabulary) is token_tree(vocabulary)
    assert token_tree(vocabulary) is not token_tree(ByteVocabulary())


def test_a_vocabulary_without_an_end_token_is_refused():
    vocabulary = ByteVocabulary()
    vocabulary.eog = frozenset()
    with pytest.raises(GrammarError, match="has no end token"):
        GrammarSource.json_schema().constraint(vocabulary)


def test_a_vocabulary_that_cannot_say_what_the_grammar_needs_fails_when_it_must():
    class Letters(ByteVocabulary):
        def piece_bytes(self, token):
            return super().piece_bytes(token) if token == 97 else b""

    constraint = begun(GrammarSource.gbnf('root ::= "ab"').constraint(Letters()), b"a")
    with pytest.raises(GrammarError, match="no token of the vocabulary continues"):
        admitted(constraint)


def test_a_panic_of_the_library_becomes_an_error_and_an_interrupt_does_not():
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(GrammarError, match="it failed: somewhere deep"), guarded("it failed"):
        raise panic("somewhere\n deep <state>\nwith its state")
    with pytest.raises(KeyboardInterrupt), guarded("it failed"):
        raise KeyboardInterrupt


def test_a_grammar_that_outgrows_the_limits_fails_and_nothing_else_does(gbnf):
    constraint = gbnf('root ::= x{300}\nx ::= "a" x "b" | "a" x "c" | "a"{0,300}')
    with pytest.raises(GrammarError, match=r"the grammar failed at token 97: .*max is 2000"):
        begun(constraint, b"a" * 300)
    with pytest.raises(GrammarError, match="max is 2000"):
        constraint.accepts(b"a" * 300)
    assert ord("a") in admitted(begun(constraint, b"aa"))
