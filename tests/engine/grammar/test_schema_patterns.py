"""Patterns of schemas mean what ECMA-262 says, and what its dialects or Rust's read otherwise is refused."""

import json

import pytest

from llamachat.engine.grammar.schema_patterns import PatternError, rust_pattern
from llamachat.errors import UsageError

READ = [
    pytest.param(r"^.$", ["a", "é", "😀", "\\", '"'], ["\r", "\n", "\u2028", "\u2029", ""], id="any but ends of lines"),
    pytest.param(r"^\s$", [" ", "\t", "\u00a0", "\ufeff", "\u2028"], ["\u0085", "a"], id="blanks"),
    pytest.param(r"^\S$", ["\u0085", "a"], ["\ufeff", " "], id="no blanks"),
    pytest.param(r"^[\d\w]$", ["7", "a", "_"], ["é", "٣", "-"], id="ASCII only"),
    pytest.param(r"^[^\D]$", ["7"], ["a", "٣"], id="negated twice"),
    pytest.param(r"^[\s\S]$", ["\n", "😀"], [""], id="everything"),
    pytest.param(r"^[\]\[^-]$", ["]", "[", "^", "-"], ["\\", "a"], id="signs in a class"),
    pytest.param(r"^\x41\u00e9\u{1F600}\uD83D\uDE00\cJ$", ["Aé😀😀\n"], ["Aé😀😀J"], id="numbers"),
    pytest.param(r"^\-\/\@\.<\>$", ["-/@.<>"], ["-/@x<>"], id="signs"),
    pytest.param(r"^\p{Lu}\P{L}$", ["É1"], ["é1", "ÉÉ"], id="categories"),
    pytest.param(r"^(a|b){2,3}?$", ["ab", "bba"], ["a", "abab"], id="groups and counts"),
    pytest.param(r"^[\b]\f$", ["\b\f"], ["bf"], id="control characters"),
]


@pytest.mark.parametrize(("pattern", "good", "bad"), READ)
def test_a_pattern_admits_what_its_definition_admits(schema, pattern, good, bad):
    constraint = schema(json.dumps({"type": "string", "pattern": pattern}))
    assert [text for text in good if not constraint.accepts(json.dumps(text, ensure_ascii=False))] == []
    assert [text for text in bad if constraint.accepts(json.dumps(text, ensure_ascii=False))] == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"[a-z&&[^b]]", r"[[:alpha:]]", r"[a&&b]", r"[a--b]", r"[!--]", r"[a~~b]", r"(?i)a", r"(?x)a", r"(?=a)",
        r"(?!a)", r"(?<=a)", r"(?<n>a)", r"(?P<n>a)", r"\Aa", r"a\z", r"a\Z", r"\x{41}", r"\pL", r"\p{greek}",
        r"\p{Greek}", r"\bfoo", r"\B", r"(a)\1", r"\k<n>", r"\q", r"\01", "a\\", r"[]a]", r"[^]", r"[^\s\S]", r"[a",
        r"[a-\d]", r"[\w-z]", r"[z-a]", r"a{,3}", r"a{", r"a{ 2 }", r"a++", r"a**", r"a{2}{3}", r"a???", r"*a", r"(+a)",
        r"a|?", r"^*", "\ud800", r"\uD800", r"[\uD800-\uDFFF]", r"\u{110000}", "a" * 20_001,
    ],
)  # fmt: skip
def test_what_dialects_read_differently_is_refused(pattern):
    with pytest.raises(PatternError):
        rust_pattern(pattern)


def test_a_refusal_names_the_place():
    with pytest.raises(PatternError, match=r"^'a\[b&&c\]' is not supported: character 4 \(&&\): the operations"):
        rust_pattern("a[b&&c]")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param({"pattern": "(?i)a"}, "at #/pattern: pattern '(?i)a' is not supported", id="pattern"),
        pytest.param(
            {"patternProperties": {"[[:a:]]": {}}}, "at #/patternProperties: patternProperties '[[", id="name"
        ),
        pytest.param({"patternProperties": {"a": {}, "\\x61": {}}}, "has one pattern written in two ways", id="twice"),
    ],
)
def test_a_schema_with_such_a_pattern_is_refused(schema, document, message):
    with pytest.raises(UsageError) as caught:
        schema(json.dumps(document))
    assert message in str(caught.value)


def test_a_pattern_of_names_is_matched_in_time_in_proportion(schema):
    names = {"a" * 40 + "!": {"type": "null"}}
    constraint = schema(json.dumps({"type": "object", "patternProperties": {"^(a+)+$": {}}, "properties": names}))
    assert constraint.accepts('{"aa": 1}')
