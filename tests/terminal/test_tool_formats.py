"""How models write calls of tools, and what is read of them."""

import json
from pathlib import Path

import jsonschema
import pytest

from llamachat.terminal.tools.definition import Tool
from llamachat.terminal.tools.formats import FORMATS, format_of, supports_tools

BY_NAME = {one.name: one for one in FORMATS}
SUM = Tool("sum", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
DATE = Tool("date")


@pytest.mark.parametrize(
    ("form", "answer", "text", "calls"),
    [
        ("hermes", '<tool_call>\n{"name": "sum", "arguments": {"a": 1}}\n</tool_call>', "", [("sum", {"a": 1})]),
        ("hermes", 'So: <tool_call>{"name": "date", "arguments": {}}</tool_call>', "So:", [("date", {})]),
        (
            "hermes",
            '<tool_call>{"name":"date","arguments":{}}</tool_call>\n<tool_call>{"name":"sum","arguments":{"a":2}}',
            "",
            [("date", {}), ("sum", {"a": 2})],
        ),
        ("hermes", '<tool_call>{"name": "sum", "arguments": "{\\"a\\": 3}"}</tool_call>', "", [("sum", {"a": 3})]),
        ("hermes", "No call here: {}", "No call here: {}", []),
        ("hermes", "I would write <tool_call> to call.", "I would write <tool_call> to call.", []),
        ("hermes", '<tool_call>{"name": "a", "arguments": {"t": "see </tool_call> tag"}}</tool_call>', "",
         [("a", {"t": "see </tool_call> tag"})]),
        ("mistral", '[TOOL_CALLS][{"name": "sum", "arguments": {"a": 1}}]</s>', "", [("sum", {"a": 1})]),
        ("mistral", 'Hm. [TOOL_CALLS] [{"name": "date", "arguments": {}}, {"name": "date", "arguments": {}}]',
         "Hm.", [("date", {}), ("date", {})]),
        ("mistral-args", '[TOOL_CALLS]sum[ARGS]{"a": 1}[TOOL_CALLS]date[ARGS]{}', "",
         [("sum", {"a": 1}), ("date", {})]),
        ("llama3", '{"name": "sum", "parameters": {"a": 1}}<|eot_id|>', "", [("sum", {"a": 1})]),
        ("llama3", '<|python_tag|>{"name": "sum", "parameters": {"a": 1}}<|eom_id|>', "", [("sum", {"a": 1})]),
        ("llama3", '{"name": "Ada", "born": 1815}', '{"name": "Ada", "born": 1815}', []),
        ("llama3", 'It is {"name": "sum", "parameters": {}}', 'It is {"name": "sum", "parameters": {}}', []),
        ("json", '```json\n{"name": "sum", "arguments": {"a": 1}}\n```', "", [("sum", {"a": 1})]),
        ("json", '[{"name": "date", "arguments": {}}]', "", [("date", {})]),
    ],
)  # fmt: skip
def test_calls_are_read_as_the_model_family_writes_them(form, answer, text, calls):
    reading = BY_NAME[form].read(answer)
    assert (reading.text, [(call.name, call.arguments) for call in reading.calls]) == (text, calls)
    assert not reading.problem


@pytest.mark.parametrize(
    ("form", "answer", "problem"),
    [
        ("hermes", "<tool_call>{broken</tool_call>", "without a name"),
        ("hermes", '<tool_call>{"name": "sum", "arguments": [1]}</tool_call>', "sum whose arguments"),
        ("mistral", "[TOOL_CALLS] nothing", "without a name"),
        ("mistral-args", "[TOOL_CALLS]sum[ARGS]{", "sum whose arguments"),
    ],
)
def test_what_cannot_be_read_as_a_call_is_told_and_nothing_is_called(form, answer, problem):
    reading = BY_NAME[form].read(answer)
    assert problem in reading.problem
    assert reading.calls == ()
    assert reading.text == answer


@pytest.mark.parametrize("form", BY_NAME)
def test_the_schema_admits_calls_of_the_tools_and_no_others(form):
    call_format = BY_NAME[form]
    schema = call_format.schema([SUM, DATE])

    def admitted(name, arguments):
        value = {"name": name, call_format.arguments: arguments}
        return jsonschema.Draft202012Validator(schema).is_valid([value] if call_format.in_list else value)

    assert admitted("sum", {"a": 1})
    assert admitted("date", {})
    assert not admitted("sum", {"a": "x"})
    assert not admitted("rm", {})


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("Qwen-Qwen3-0.6B", "hermes"),
        ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes"),
        ("meta-llama-Llama-3.1-8B-Instruct", "llama3"),
        ("unsloth-mistral-Devstral-Small-2507", "mistral-args"),
        ("google-gemma-2-2b-it", "json"),
    ],
)
def test_the_format_follows_from_the_template(golden: Path, template, name):
    source = (golden / "templates" / f"{template}.jinja").read_text("utf-8")
    assert format_of(source).name == name


def test_a_template_that_says_nothing_of_tools_does_not_support_them(golden: Path):
    assert not supports_tools((golden / "templates" / "google-gemma-2-2b-it.jinja").read_text("utf-8"))
    assert supports_tools((golden / "templates" / "Qwen-Qwen3-0.6B.jinja").read_text("utf-8"))


def test_any_text_is_read_without_an_exception():
    for form in FORMATS:
        for text in ("", "{", "[", "[TOOL_CALLS]", "<tool_call>", "</tool_call>", "[TOOL_CALLS]x[ARGS]", '{"name": 1}',
                     json.dumps([[]]), "\x00\ud800"):  # fmt: skip
            assert form.read(text).calls == ()
