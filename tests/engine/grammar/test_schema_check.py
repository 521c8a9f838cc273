"""What a grammar cannot enforce of a schema: left out of the grammar, and looked at in the finished text."""

import json
from typing import Any

import numpy as np
import pytest
from byte_vocabulary import END, ByteVocabulary

from llamachat.engine.answering import Answering, GenerationOptions
from llamachat.engine.grammar import GrammarSource
from llamachat.engine.grammar.json_schema import schema_grammar
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import GrammarError, UsageError

PARTIAL: list[Any] = [
    pytest.param({"uniqueItems": True, "items": {"type": "integer"}}, "[1, 2]", "[1, 1]", '["a"]', id="uniqueItems"),
    pytest.param({"type": "array", "contains": {"const": 5}}, "[1, 5]", "[1]", "5", id="contains"),
    pytest.param({"not": {"pattern": "a"}, "type": "string"}, '"b"', '"ab"', "1", id="not"),
    pytest.param({"type": "string", "pattern": "^(?=a)"}, '"ab"', '"b"', "1", id="a pattern"),
    pytest.param({"type": "string", "format": "regex"}, '"a"', '"("', "1", id="a format"),
    pytest.param({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "0.5", "1", '"a"', id="oneOf"),
    pytest.param({"type": "object", "minProperties": 2}, '{"a": 1, "b": 1}', '{"a": 1}', "[]", id="minProperties"),
    pytest.param({"patternProperties": {"a": {"minimum": 1}, "b": {"maximum": 5}}, "type": "object"}, '{"ab": 3}',
                 '{"ab": 7}', "3", id="overlapping patterns"),
    pytest.param({"properties": {"a": {"allOf": [{"type": "string"}, {"const": 1}]}, "c": True}, "type": "object",
                  "minProperties": 1}, '{"b": 1}', "{}", "3", id="a property that nothing satisfies, beside"),
    pytest.param({"items": {"maximum": 10**20, "type": "integer"}}, "[3]", "[1000000000000000000000]", '["a"]',
                 id="a huge number"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "good", "bad", "outside"), PARTIAL)
def test_the_rest_is_enforced_and_the_finished_text_checked(document: Any, good: str, bad: str, outside: str) -> None:
    text = json.dumps(document)
    with pytest.raises(UsageError):
        GrammarSource.json_schema(text)
    source = GrammarSource.json_schema(text, "mine", "check")
    constraint = source.constraint(ByteVocabulary())
    assert constraint.accepts(good)
    assert constraint.accepts(bad)
    assert not constraint.accepts(outside)
    source.check(good)
    with pytest.raises(GrammarError, match="mine: the answer does not satisfy the schema: at #"):
        source.check(bad)


def test_what_is_left_out_is_known_by_its_place() -> None:
    document = {"properties": {"a": {"uniqueItems": True}, "b": {"nullable": True, "type": "null"}}}
    assert schema_grammar(json.dumps(document), "s", lenient=True).unenforced == (
        "#/properties/a/uniqueItems",
        "#/properties/b/nullable",
    )
    assert schema_grammar('{"type": "null"}', "s", lenient=True).unenforced == ()


def test_a_fault_is_told_with_its_place() -> None:
    source = GrammarSource.json_schema('{"items": {"uniqueItems": true}}', "s", "check")
    with pytest.raises(GrammarError, match=r"at #/1: .* has non-unique elements"):
        source.check("[[1], [2, 2]]")


@pytest.mark.parametrize("count", ["minProperties", "maxProperties"])
def test_of_an_object_with_a_count_only_the_count_is_left_out(count: str) -> None:
    document = {"properties": {"a": {"type": "string"}, "b": True}, "type": "object", count: 1}
    assert schema_grammar(json.dumps(document), "s", lenient=True).unenforced == (f"#/{count}",)
    assert not GrammarSource.json_schema(json.dumps(document), "s", "check").constraint(ByteVocabulary()).accepts("3")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param({"type": 5}, "at #/type: ", id="no schema"),
        pytest.param({"enum": [[[]]], "not": {}}, "Unsatisfiable", id="nothing"),
        pytest.param({"$ref": "http://127.0.0.1:9/a.json"}, "leads to another document", id="another document"),
    ],
)
def test_what_cannot_be_checked_either_is_refused(document: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GrammarSource.json_schema(json.dumps(document), "s", "check")


@pytest.mark.parametrize("depth", range(12))
def test_a_schema_that_refers_to_itself_for_the_same_value_is_no_traceback(
    depth: int, capfd: pytest.CaptureFixture[str]
) -> None:
    source = GrammarSource.json_schema('{"uniqueItems": true, "if": {"$ref": "#"}}', "s", "check")

    def check(below: int) -> None:  # which call meets the limit of recursion is a matter of depth
        check(below - 1) if below else source.check("1")

    with pytest.raises(GrammarError, match="could not be checked against the schema: it nests too deep"):
        check(depth)
    assert capfd.readouterr().err == ""


def test_jsonschema_is_imported_only_for_a_check() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from llamachat.engine.grammar import GrammarSource; GrammarSource.json_schema('{}');"
        "sys.exit('jsonschema' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("text", "reason"), [("[1,2]", "eos"), ("[1,1]", "grammar")])
def test_an_answer_ends_with_what_the_check_says(text: str, reason: str) -> None:
    source = GrammarSource.json_schema('{"type": "array", "uniqueItems": true}', "s", "check")
    answering = Answering(ByteVocabulary(), GenerationOptions(sampling=SamplingOptions(temp=0.0), grammar=source), [1])
    for token in (*text.encode(), END):
        logits = np.zeros(ByteVocabulary().n_vocab, np.float32)
        logits[token] = 9.0
        answering.choose(logits)
    stop = answering.stop()
    assert stop.reason == reason
    assert (stop.error is None) == (reason == "eos")
