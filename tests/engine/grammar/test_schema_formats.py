"""Every text that a format admits is of this format, by the word of the standard library."""

import json

import pytest
from byte_vocabulary import ByteVocabulary
from format_checker import CHECKER
from generation import Generation

from llamachat.engine.grammar.schema_formats import FORMATS

LABEL = "a" * 63
EXAMPLES = {
    "date": (["2024-12-31", "2024-02-29", "2000-02-29", "0004-02-29"], ["2024-13-01", "2023-02-29", "1900-02-29",
             "2024-02-30", "2024-04-31", "0000-01-01", "24-01-01"]),
    "date-time": (["2024-12-31T23:59:59Z", "2024-02-29t00:00:00.5z"], ["2024-12-31 23:59", "2023-02-29T12:00:00Z",
                  "2023-02-28T12:00:60Z", "2024-12-31T23:59:59"]),
    "time": (["23:59:59+01:00", "00:00:00.123456789Z"], ["24:00:00Z", "12:00:60Z", "12:00:00", "12:00Z"]),
    "duration": (["P1DT2H", "PT1M", "P3W"], ["1D", "P", "PT", "P1DT"]),
    "email": (["a.b@c.de", f"{'a' * 64}@b"], ["a@", "@b", "a..b@c", f"{'a' * 65}@b", f"a@{LABEL}a", "a@-b"]),
    "hostname": (["a-b.example", "a--b", LABEL, f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}"], ["-a", "a-", "a..b", "",
                 f"{LABEL}a", f"{LABEL}.{LABEL}.{LABEL}.{'a' * 62}", "ab--c"]),
    "ipv4": (["192.168.0.1"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
    "ipv6": (["fe80::1", "::", "1:2:3:4:5:6:7:8"], ["fe80:::1", "1::2::3", "1:2:3:4:5:6:7"]),
    "uuid": (["01234567-89ab-cdef-0123-456789abcdef"], ["01234567", "01234567-89ab-cdef-0123-456789abcdeg"]),
    "uri": (["https://a.b/c?d#e", "http://localhost:8080", "file:///a/b", "urn:isbn:0451450523", "mailto:a.b@c.de"],
            ["no scheme", "http://", "http:", "http://a:99999/", "http://a/%zz", "http://a/ b", "//a.b", "file://"]),
    "uri-reference": (["https://a.b/c", "", "/", "/a//b?c", "a/b:c", "?q", "#f", "a%20b"],
                      ["a b", "1:b", "%zz", "\\\\a"]),
    "json-pointer": (["", "/", "/a~0b/~1", "/é//"], ["a", "/~", "/~2", "#/a"]),
    "relative-json-pointer": (["0", "10#", "1/a~1b"], ["", "01", "1#/a", "-1", "1a", "/a"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_an_accepted_format_is_enforced(schema, name):
    good, bad = EXAMPLES[name]
    constraint = schema(json.dumps({"type": "string", "format": name}))
    assert [text for text in good if not constraint.accepts(f'"{text}"')] == []
    assert [text for text in bad if constraint.accepts(f'"{text}"')] == []


@pytest.mark.parametrize("name", FORMATS)
def test_the_checker_of_these_tests_agrees(name):
    good, bad = EXAMPLES[name]
    assert [text for text in good if not CHECKER.conforms(text, name)] == []
    assert [text for text in bad if CHECKER.conforms(text, name)] == []


@pytest.mark.parametrize("name", FORMATS)
def test_random_texts_of_a_format_are_of_this_format(schema, name):
    constraint = schema(json.dumps({"type": "string", "format": name}))
    n_ended = 0
    for seed in range(60):
        generation = Generation(constraint, ByteVocabulary(), seed)
        generation.run(seed % 60, pushed=b"0269-." if seed % 2 else b"")
        generation.run(400, closing=True)
        n_ended += generation.ended
        assert not generation.ended or CHECKER.conforms(json.loads(generation.text), name), generation.text
    assert n_ended > 9


def test_a_format_holds_beside_a_pattern_and_other_schemas(schema):
    document = {"type": "string", "format": "date", "pattern": "^20", "allOf": [{"pattern": "9$"}]}
    constraint = schema(json.dumps(document))
    assert constraint.accepts('"2024-02-29"')
    assert not any(constraint.accepts(f'"{text}"') for text in ("2023-02-29", "1999-01-09", "2024-02-28"))


def test_a_format_says_nothing_about_what_is_no_text(schema):
    assert schema('{"format": "date"}').accepts("5")
