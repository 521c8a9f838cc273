"""GBNF, from its text to its tree, and every way in which a text is none."""

import pytest

from llamachat.engine.grammar.checks import check_grammar
from llamachat.engine.grammar.gbnf import GrammarSyntaxError, parse_gbnf
from llamachat.engine.grammar.syntax import EMPTY, Chars, Choice, Literal, Reference, Repeat, Sequence

ANY = Chars(((0, 0x10FFFF),))
A, B = Literal("a"), Literal("b")


def root(text):
    return parse_gbnf(f"root ::= {text}").rules["root"]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        pytest.param('"a"', A, id="literal"),
        pytest.param(r'"\n\r\t\\\"\x41\u00e9\U0001F600é[\[\]"', Literal('\n\r\t\\"Aé😀é[[]'), id="escapes"),
        pytest.param('"\\xe9"', Literal("é"), id="x is a code point, not a byte"),
        pytest.param('""', EMPTY, id="empty"),
        pytest.param("", EMPTY, id="nothing"),
        pytest.param("[a-cx]", Chars(((97, 99), (120, 120))), id="class"),
        pytest.param(r"[\]\[\\\-\^\x41-\u0043]", Chars(((45, 45), (65, 67), (91, 94))), id="class of escapes"),
        pytest.param("[-a-]", Chars(((45, 45), (97, 97))), id="hyphens at the borders"),
        pytest.param("[а-я😀]", Chars(((0x430, 0x44F), (0x1F600, 0x1F600))), id="class beyond ASCII"),
        pytest.param("[^a]", Chars(((0, 96), (98, 0xD7FF), (0xE000, 0x10FFFF))), id="negated class"),
        pytest.param("[^]", Chars(((0, 0xD7FF), (0xE000, 0x10FFFF))), id="nothing negated"),
        pytest.param("[#]", Chars(((35, 35),)), id="no comment in a class"),
        pytest.param('"#"', Literal("#"), id="no comment in a literal"),
        pytest.param(".", ANY, id="any"),
        pytest.param('"a" "b"', Sequence((A, B)), id="sequence"),
        pytest.param('"a" | "b" |', Choice((A, B, EMPTY)), id="choice"),
        pytest.param('"a" "b" | "b"', Choice((Sequence((A, B)), B)), id="sequence before choice"),
        pytest.param('"a" ("a" | "b")', Sequence((A, Choice((A, B)))), id="group"),
        pytest.param('"a"*', Repeat(A, 0, None), id="star"),
        pytest.param('"ab"+', Repeat(Literal("ab"), 1, None), id="plus is of the whole literal"),
        pytest.param('("a" "b")?', Repeat(Sequence((A, B)), 0, 1), id="question mark"),
        pytest.param('"a"{3}', Repeat(A, 3, 3), id="exactly"),
        pytest.param('"a"{2,}', Repeat(A, 2, None), id="at least"),
        pytest.param('"a"{ 2 , 5 }', Repeat(A, 2, 5), id="between"),
        pytest.param('"a"{,5}', Repeat(A, 0, 5), id="at most"),
        pytest.param('"a"{0}', EMPTY, id="never"),
        pytest.param('"a"{1}', A, id="once"),
        pytest.param("my-rule_2", Reference("my-rule_2"), id="reference"),
    ],
)
def test_a_notation_means_its_tree(text, tree):
    assert root(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('root ::= "a" |\n  "b"', id="after a bar"),
        pytest.param('root ::=\n\n  "a" | "b"', id="after the definition sign"),
        pytest.param('root ::= ( # why\n "a"\n | "b" )', id="in parentheses"),
        pytest.param('root ::= "a"\n  | "b" # the second\n', id="before a bar"),
        pytest.param('# first\r\nroot ::= "a" | "b"\r\n\r\n# last', id="Windows line ends"),
        pytest.param('\ufeffroot::="a"|"b"', id="byte order mark, no blanks"),
    ],
)
def test_a_rule_goes_on_over_line_ends(text):
    assert parse_gbnf(text).rules == {"root": Choice((A, B))}


FAULTS = [
    pytest.param('root ::= "abc', "1:10", "this literal is never closed", id="open literal"),
    pytest.param("root ::= [a-z", "1:10", "this class is never closed", id="open class"),
    pytest.param('root ::= ("a"', "1:10", "this parenthesis is never closed", id="open parenthesis"),
    pytest.param('root ::= "a")', "1:13", "')' cannot stand here", id="closed too often"),
    pytest.param("root ::= [z-a]", "1:11", "this range goes down", id="range down"),
    pytest.param("root ::= []", "1:10", "no character is in this class", id="empty class"),
    pytest.param("root ::= [^\\x00-\\U0010ffff]", "1:10", "no character is in this class", id="everything negated"),
    pytest.param(r'root ::= "\q"', "1:11", "escapes are", id="escape"),
    pytest.param(r'root ::= "\x4"', "1:11", "2 hexadecimal digits must follow", id="hexadecimal"),
    pytest.param(r'root ::= "\ud800"', "1:11", "U+D800 is not a character", id="surrogate"),
    pytest.param(r'root ::= "\U00110000"', "1:11", "U+110000 is not a character", id="beyond Unicode"),
    pytest.param('root ::= "\ud800"', "1:11", "half of a character", id="lone surrogate"),
    pytest.param('root ::= "a"{5,2}', "1:13", "at least 5 and at most 2 times is never", id="bounds"),
    pytest.param('root ::= "a"{}', "1:13", "a repetition needs a number", id="no bounds"),
    pytest.param('root ::= "a"{,}', "1:13", "a repetition needs a number", id="empty bounds"),
    pytest.param('root ::= "a"{1', "1:13", "a repetition is {m}", id="open bounds"),
    pytest.param('root ::= "a"{1000000000}', "1:14", "repetitions count to 2000", id="huge count"),
    pytest.param('root ::= "a"*+', "1:14", "one repetition directly after another", id="two operators"),
    pytest.param("root ::= *", "1:10", "'*' cannot stand here", id="operator of nothing"),
    pytest.param('x ::= "a"\nroot = "a"', "2:6", "'::=' must follow the name of the rule 'root'", id="wrong sign"),
    pytest.param('::= "a"', "1:1", "a rule begins with its name", id="no name"),
    pytest.param('root ::= "a"\nroot ::= "b"', "2:1", "the rule 'root' is already defined", id="twice"),
    pytest.param('root ::= "a" x ::= "b"', "1:14", "a rule begins on a line of its own", id="same line"),
    pytest.param("root ::= <think", "1:10", "a token of the model is <its text>", id="token without an end"),
    pytest.param("root ::= !x", "1:10", "a token of the model is <its text>", id="the opposite of no token"),
    pytest.param("root ::= <>", "1:10", "a token of the model is <its text>", id="no token"),
    pytest.param("root ::= <[a]>", "1:10", "the number of a token is written <[12]>", id="no number"),
    pytest.param('start ::= "a"', "1:1", "there is no rule 'root'", id="no root"),
    pytest.param("", "1:1", "there is no rule 'root'", id="nothing at all"),
    pytest.param(
        'root ::= "a" |\n  numbr\nnumber ::= "1"', "2:3", "no rule 'numbr' (did you mean 'number'?)", id="undefined"
    ),
    pytest.param('root ::= "a"\nunused ::= missing', "2:12", "there is no rule 'missing'", id="undefined in an unused"),
    pytest.param('root ::= root "a" | "b"', "1:1", "left recursion: root → root;", id="direct left recursion"),
    pytest.param('root ::= x\nx ::= y "a"\ny ::= "b" | x', "2:1", "left recursion: x → y → x;", id="indirect"),
    pytest.param('root ::= "a"? ("b"* root)', "1:1", "left recursion: root → root;", id="behind what may be empty"),
    pytest.param(
        'root ::= e root "a" | "b"\ne ::= f f\nf ::= "x" |', "1:1", "left recursion: root → root;", id="empty rule"
    ),
    pytest.param('root ::= "a" root', "1:1", "the rule 'root' has no end", id="endless"),
    pytest.param('root ::= "a" | x\nx ::= "(" y ")"\ny ::= "b" x', "2:1", "the rule 'x' has no end", id="endless pair"),
    pytest.param("root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000, "1:74", "nest deeper than 64", id="deep"),
    pytest.param('root ::= "a"' + "?" * 100_000, "1:14", "one repetition directly", id="many operators"),
    pytest.param("#" * 300_000, "1:1", "at most 250000 characters", id="long"),
    pytest.param("\n".join(f'r{i} ::= "a"' for i in range(700)), "601:1", "at most 600 rules", id="many rules"),
]


@pytest.mark.parametrize(("text", "place", "message"), FAULTS)
def test_a_fault_is_told_with_its_place_and_a_caret_under_it(text, place, message):
    with pytest.raises(GrammarSyntaxError) as caught:
        check_grammar(parse_gbnf(text, "my.gbnf"))
    first, (shown, caret) = str(caught.value), caught.value.excerpt
    assert first.startswith(f"my.gbnf:{place}: ")
    assert message in first
    line = text.split("\n")[caught.value.line - 1]
    under = line[caught.value.column - 1 : caught.value.column]
    if under.isprintable():
        assert shown[caret.index("^") : caret.index("^") + 1] == under
    assert len(shown) <= 80


def test_a_long_chain_of_rules_is_not_followed_by_recursion():
    text = "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}\n" for i in range(500)) + "r500 ::= r0"
    with pytest.raises(GrammarSyntaxError, match=r"left recursion: r0 → r1 → r2 → r3 → \.\.\. → r499 → r500 → r0"):
        check_grammar(parse_gbnf(text))
