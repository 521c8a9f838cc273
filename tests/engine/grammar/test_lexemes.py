"""A grammar of lexemes admits what the GBNF rules admit, also where a greedy lexer would not."""

import random

import pytest
from plain_reading import admits

from llamachat.engine.grammar import GrammarSource
from llamachat.engine.grammar.automaton import TooMuchWork, Work, automaton, overlap
from llamachat.engine.grammar.checks import check_grammar
from llamachat.engine.grammar.gbnf import parse_gbnf
from llamachat.engine.grammar.lexemes import readings, without_tail_recursion
from llamachat.engine.grammar.syntax import Chars, Literal, Reference, Repeat, Sequence
from llamachat.errors import UsageError


def lexical(text):
    return next(readings(parse_gbnf(text).rules))


def overlapping(short, long):
    work = Work(1_000)
    return overlap(automaton(short, {}, work), automaton(long, {}, work), work)


def test_a_grammar_without_recursion_is_one_lexeme():
    assert len(lexical('root ::= item+\nitem ::= "- " word "\\n"\nword ::= [a-z]* | "x"').lexemes) == 1


def test_tail_recursion_is_repetition():
    blanks = parse_gbnf("root ::= ws\nws ::= ([ \\t] ws)?").rules["ws"]
    assert without_tail_recursion("ws", blanks) == Repeat(Chars(((9, 9), (32, 32))), 0, None)
    assert without_tail_recursion("ws", Reference("ws")) != Reference("other")
    assert len(lexical('root ::= "a" root | "b" | "c"').lexemes) == 1


def test_lexemes_that_end_where_they_must_are_not_broken():
    grammar = lexical('root ::= "[" (s ("," s)*)? "]" | s\ns ::= "\\"" [a-z]* "\\"" | root')
    assert len(grammar.lexemes) == 4


def test_a_lexeme_that_runs_over_anothers_end_is_broken():
    grammar = lexical('root ::= "(" root ")" | "a" x | "ab" "cd"\nx ::= "b" | "(" root')
    assert {Literal("("), Literal(")"), Literal("a"), Literal("b"), Literal("cd")} <= set(grammar.lexemes)
    assert len(grammar.lexemes) - len([one for one in grammar.lexemes if isinstance(one, Chars)]) == 5


def test_an_overlap_tells_equal_texts_and_what_the_longer_goes_on_with():
    word, keyword = Repeat(Chars(((97, 122),)), 1, None), Literal("if")
    found = overlapping(keyword, word)
    assert found.same
    assert found.following == {((97, 122),)}
    assert not overlapping(word, Literal("1")).same


def test_an_overlap_takes_no_more_steps_than_it_was_granted():
    optional = Sequence(tuple(Repeat(Literal(c), 0, 1) for c in "abcdefghij" * 10))
    with pytest.raises(TooMuchWork):
        overlapping(optional, optional)


CHAIN = "".join(f"a{i} ::= a{i + 1} | a{i + 1} a{i + 1}\n" for i in range(12)) + 'a12 ::= "x"\n'


@pytest.mark.parametrize("root", ['"(" root ")" | a0', '"(" root ")" | a0 a0 | a0 "y"'])
def test_a_grammar_with_too_much_to_compare_is_read_character_by_character(gbnf, root):
    text = f"root ::= {root}\n{CHAIN}"
    assert all(isinstance(one, Chars) or len(one.text) == 1 for one in lexical(text).lexemes)
    constraint = gbnf(text)
    assert constraint.accepts("((xxx))")
    assert not constraint.accepts("((xxx)")


@pytest.mark.parametrize(
    ("text", "admitted", "refused"),
    [
        pytest.param('root ::= "a" "b" | "ab" "c"', "ab abc", "a abb", id="regular"),
        pytest.param('root ::= "(" root ")" | "a" "b" | "ab" "c"', "ab abc (ab) ((abc))", "a (a) abb", id="recursive"),
        pytest.param('root ::= [0-9]+ "1" | "[" root "]"', "11 21 [111]", "1 [1]", id="digits before a digit"),
        pytest.param('root ::= x x | "<" root ">"\nx ::= "a"*', "aaa <a> <>", "b <b>", id="two that may be empty"),
        pytest.param('root ::= "a" root "b" | "a" "b"', "ab aabb aaabbb", "aab abb ba", id="center"),
        pytest.param('root ::= ("x" | "(" root ")")*', "x (x)x ((x)(x))", "( )( (x", id="nested repetition"),
        pytest.param('root ::= "é" root "è" | "É"', "É éÉè", "è éÉ", id="characters with a first byte in common"),
        pytest.param('root ::= .{2} | "(" root ")"', "ab (ab) 😀b ))", "a (abc", id="any character"),
    ],
)
def test_a_grammar_admits_exactly_its_texts(gbnf, text, admitted, refused):
    constraint = gbnf(text)
    assert [one for one in admitted.split() if not constraint.accepts(one)] == []
    assert [one for one in refused.split() if constraint.accepts(one)] == []


def random_grammar(chance):
    names = ["root", *"xyz"[: chance.randint(0, 3)]]
    return "\n".join(f"{name} ::= {random_tree(chance, 3, names)}" for name in names)


def random_tree(chance, depth, names):
    kind = chance.random()
    if depth == 0 or kind < 0.35:
        return chance.choice(
            ['"a"', '"b"', '"ab"', '"ba"', '"abb"', "[ab]", "[^a]", '"c"', '""', '"é"', *names, *names]
        )
    if kind < 0.6:
        return " ".join(random_tree(chance, depth - 1, names) for _ in range(chance.randint(1, 3)))
    if kind < 0.8:
        return f"({' | '.join(random_tree(chance, depth - 1, names) for _ in range(2))})"
    return f"({random_tree(chance, depth - 1, names)}){chance.choice(['*', '+', '?', '{2}', '{1,2}', '{,2}', '{2,}'])}"


def test_random_grammars_admit_exactly_what_their_definition_admits(vocabulary):
    chance = random.Random(3)
    n_recursive = n_admitted = 0
    for _ in range(1500):
        text = random_grammar(chance)
        grammar = parse_gbnf(text)
        try:
            check_grammar(grammar)
        except UsageError:
            continue
        constraint = GrammarSource.gbnf(text).constraint(vocabulary)
        n_recursive += len(next(readings(grammar.rules)).lexemes) > 1
        for sample in {"".join(chance.choice("aabbcé") for _ in range(chance.randint(0, 7))) for _ in range(25)}:
            wanted = admits(grammar.rules, sample)
            assert constraint.accepts(sample) == wanted, (text, sample)
            if wanted:
                n_admitted += 1
                assert all(constraint.is_prefix(sample[:n]) for n in range(len(sample))), (text, sample)
    assert n_recursive > 30
    assert n_admitted > 300
