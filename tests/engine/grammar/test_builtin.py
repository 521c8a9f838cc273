"""The grammars that come along: what each admits, what it refuses, and that it can always be finished."""

import json

import pytest
from generation import Generation

from llamachat.engine.grammar.source import builtin_names

CASES = {
    "json": (
        [
            "{}",
            '{"a":1}',
            '{ "a": [1, -2.5e+7, true, null, "x\\n\\u00e9é😀"] }',
            '{\n  "a": {},\n  "b": []\n}',
            '{"":""}',
        ],
        [
            "",
            "[]",
            "1",
            '{"a":01}',
            '{"a" 1}',
            '{"a":1,}',
            "{'a':1}",
            '{"a":"\n"}',
            '{"a":"\\x"}',
            "{}  ",
            '{"a":   1}',
        ],
    ),
    "json_array": (
        ["[]", "[1]", '[1, "a", {"b": [true]}]', "[\n  1,\n  2\n]", "[[[]]]"],
        ["{}", "[1,]", "[1 2]", "[", "[1]]", " []"],
    ),
    "arithmetic": (
        ["1+2 = 3\n", "(x+1)*2 = y\n", "x = 1\ny2 - 3 = -2\n", "((1)) = 1.5\n", "1--1 = 2\n"],
        ["1+2=3\n", "1+2 = 3", "+1 = 1\n", "1 = \n", "(1 = 1\n", "X = 1\n", "1+ = 2\n"],
    ),
    "list": (
        ["- one\n", "- one\n- two three\n", "- é😀\n"],
        ["", "one\n", "- one", "-one\n", "- \n", "- a\n\n", "- a\tb\n"],
    ),
    "chess": (
        ["1. e4 e5\n", "1. e4 e5\n2. Nf3 Nc6\n3. Bb5 a6\n", "1. d4 exd5+\n12. O-O-O Qxd5#\n", "1. Rad1 b8=Q+\n"],
        ["e4 e5\n", "1. e4\n", "1. e9 e5\n", "1. e4 e5", "1.e4 e5\n", "1. i4 e5\n", "1. O-O-O-O e5\n"],
    ),
    "c": (
        [
            "int main() {\n    return 0;\n}",
            'float twice(float x, int n) {\n  int iffy = 2;\n  if (x < 1.5) {\n    x = x * f(n, "a\\n");\n'
            "  } else {\n    g();\n  }\n  return x;\n}\n",
            "void f() {\n  while (i != 10) {\n    i = i + 1;\n    break;\n  }\n"
            "  for (i = 0; i < n; i = i + 1) {\n  }\n}\n\nint g(char c) {\n}",
            "int f() {\n  x == y;\n  return1 = 2;\n}",
        ],
        [
            "int main()",
            "main() {\n}",
            "int f() {\n  return 0\n}",
            "int f() {\n  x = ;\n}",
            "int f() {\n  if x {\n  }\n}",
            "int 1f() {\n}",
        ],
    ),
}


def test_every_grammar_that_comes_along_has_cases():
    assert builtin_names() == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_grammar_admits_and_refuses(gbnf, name):
    constraint = gbnf(name)
    admitted, refused = CASES[name]
    assert [text for text in admitted if not constraint.accepts(text)] == []
    assert [text for text in refused if constraint.accepts(text)] == []
    for text in admitted:
        raw = text.encode()
        assert all(constraint.is_prefix(raw[:n]) for n in range(len(raw)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(5))
def test_random_texts_under_a_grammar_are_its_own_and_prefixes_of_its_own(gbnf, vocabulary, name, seed):
    constraint = gbnf(name)
    generation = Generation(constraint, vocabulary, seed)
    generation.run(60)
    assert constraint.is_prefix(generation.text)
    if generation.ended:
        assert constraint.accepts(generation.text)


@pytest.mark.parametrize("seed", range(20))
def test_what_the_json_grammar_admits_is_json(gbnf, vocabulary, seed):
    generation = Generation(gbnf("json"), vocabulary, seed)
    generation.run(seed * 4)
    generation.run(600, closing=True)
    assert generation.ended
    assert isinstance(json.loads(generation.text), dict)
