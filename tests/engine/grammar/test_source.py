"""The record of a grammar: where it comes from, and that it can be kept, compared and sent."""

import pickle

import pytest

from llamachat.engine.grammar import GrammarSource
from llamachat.errors import UsageError


def test_a_source_is_a_value(vocabulary):
    source = GrammarSource.gbnf('root ::= "a"')
    assert source == GrammarSource.gbnf('root ::= "a"')
    assert source != GrammarSource.gbnf('root ::= "b"')
    assert len({source, GrammarSource.gbnf('root ::= "a"'), GrammarSource.json_schema()}) == 2
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert again.constraint(vocabulary).accepts("a")


def test_a_bare_word_is_the_name_of_a_grammar_that_comes_along(vocabulary):
    assert GrammarSource.gbnf(" json ").constraint(vocabulary).accepts("{}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("jsn", "did you mean json?"), ("klingon", "there are arithmetic, c, chess, json, json_array, list")],
)
def test_a_name_that_is_none_gets_a_hint(name, hint):
    with pytest.raises(UsageError) as caught:
        GrammarSource.gbnf(name, "--grammar")
    assert str(caught.value) == f"--grammar: there is no grammar named {name!r}; {hint}"


def test_a_file_is_read_and_named_in_errors(tmp_path, vocabulary):
    path = tmp_path / "my.gbnf"
    path.write_text('\ufeffroot ::= "é"\r\n', "utf-8")
    assert GrammarSource.of_file("gbnf", path).constraint(vocabulary).accepts("é")
    path.write_text("root = 1")
    with pytest.raises(UsageError, match=r"^my\.gbnf:1:6: "):
        GrammarSource.of_file("gbnf", path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b'root ::= "\xff"', r"is not UTF-8 text \(byte 0xff at offset 10\)", id="not UTF-8"),
        pytest.param(b" " * 4_000_001, "has more than 4000000 bytes", id="large"),
        pytest.param(None, "no such file", id="missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path, content, message):
    path = tmp_path / "my.gbnf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        GrammarSource.of_file("gbnf", path)


def test_an_unknown_kind_is_told():
    with pytest.raises(UsageError, match="there is no kind of grammar named 'lark'"):
        GrammarSource("lark", "start: a")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'root ::= "(" root ")" | "{"ab" * 50_000}"', id="a long literal inside recursion"),
        pytest.param('root ::= "(" root ")" | ' + " | ".join(f'"word{i}"' for i in range(10_000)), id="many literals"),
    ],
)
def test_a_grammar_too_large_for_the_library_is_refused_before_there_is_a_model(text):
    with pytest.raises(UsageError, match=r"grammar cannot be used: .*(too large|too big)"):
        GrammarSource.gbnf(text)


DOUBLING = "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1} r{i + 1}\n" for i in range(60)) + 'r60 ::= "b"'
CHAIN = "root ::= r0\n" + "".join(f'r{i} ::= "(" r{i + 1} ")" | "[" root "]"\n' for i in range(500)) + 'r500 ::= "b"'
CLASS = "".join(map(chr, range(0x4E00, 0x9FFF, 2)))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('root ::= ((("a"{2000}){2000}){2000}){2000}', id="counts of counts"),
        pytest.param(DOUBLING, id="doubling"),
        pytest.param(CHAIN, id="a chain"),
        pytest.param(f'root ::= "(" root ")" | [{CLASS}]', id="a huge class"),
        pytest.param('root ::= [ab]* "a" [ab]{300}', id="many states"),
        pytest.param('root ::= (("a"?)*)* "b"', id="empty rounds"),
    ],
)
def test_a_large_grammar_works(vocabulary, text):
    constraint = GrammarSource.gbnf(text).constraint(vocabulary)
    constraint.begin()
    assert not constraint.finished
