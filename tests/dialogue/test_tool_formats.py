"""How models write calls of tools, and what is read of them."""

import json

import jsonschema
import pytest

from llamachat.dialogue.thoughts import Markers
from llamachat.dialogue.tools.call import DEEPEST
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats import FORMATS
from llamachat.dialogue.tools.reading import Reader

BY_NAME = {one.name: one for one in FORMATS}
SUM = Tool("sum", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
DATE = Tool("date")
SAY = Tool("say", parameters={"type": "object", "properties": {"t": {"type": "string"}, "n": {"type": "array"}}})
THOUGHT = Markers("<think>", "</think>")


def read(form, answer, inside=False, thought=None):
    return Reader(BY_NAME[form], (SUM, DATE, SAY), thought).read(answer, inside)


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
        ("hermes", '<tool_call>{"name": "date"}</tool_call><|im_end|>', "", [("date", {})]),
        ("hermes", "No call here: {}", "No call here: {}", []),
        ("hermes", "I would write <tool_call> to call.", "I would write <tool_call> to call.", []),
        ("hermes", '<tool_call>{"name": "a", "arguments": {"t": "see </tool_call> tag"}}</tool_call>', "",
         [("a", {"t": "see </tool_call> tag"})]),
        ("tool_calls", '<tool_calls>\n{"name": "date", "arguments": {}}\n{"name": "sum", "arguments": {"a": 1}}\n'
         "</tool_calls>", "", [("date", {}), ("sum", {"a": 1})]),
        ("mistral", '[TOOL_CALLS][{"name": "sum", "arguments": {"a": 1}}]</s>', "", [("sum", {"a": 1})]),
        ("mistral", 'Hm. [TOOL_CALLS] [{"name": "date", "arguments": {}}, {"name": "date", "arguments": {}}]',
         "Hm.", [("date", {}), ("date", {})]),
        ("mistral-args", '[TOOL_CALLS]sum[ARGS]{"a": 1}[TOOL_CALLS]date[ARGS]{}', "",
         [("sum", {"a": 1}), ("date", {})]),
        ("mistral-args", '[TOOL_CALLS]sum[CALL_ID]a1b2c3d4e[ARGS]{"a": 1}</s>', "", [("sum", {"a": 1})]),
        ("gpt-oss", '<|channel|>commentary to=functions.sum <|constrain|>json<|message|>{"a": 1}<|call|>', "",
         [("sum", {"a": 1})]),
        ("deepseek-v3", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>sum\n```json\n{\"a\": 1}\n```"
         "<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "", [("sum", {"a": 1})]),
        ("kimi-k2", "Now. <|tool_calls_section_begin|><|tool_call_begin|>functions.sum:0<|tool_call_argument_begin|>"
         '{"a": 1}<|tool_call_end|><|tool_calls_section_end|>', "Now.", [("sum", {"a": 1})]),
        ("functionary-3.2", 'all\n>>>sum\n{"a": 1}', "", [("sum", {"a": 1})]),
        ("functionary-3.2", 'nothing\n{"a": 1}', 'nothing\n{"a": 1}', []),
        ("function-tags", "<tool_call>\n<function=say>\n<parameter=t>\n12\n\nx</parameter>\n</function>\n</tool_call>",
         "", [("say", {"t": "12\n\nx"})]),
        ("function-tags", "<function=say><parameter=t>a </parameter> b</parameter><parameter=n>[1]</parameter>"
         "</function>", "", [("say", {"t": "a </parameter> b", "n": [1]})]),
        ("arg-keys", "<tool_call>sum\n<arg_key>a</arg_key>\n<arg_value>7</arg_value>\n</tool_call>", "",
         [("sum", {"a": 7})]),
        ("invoke", '<function_calls><invoke name="say"><parameter name="t">7</parameter></invoke></function_calls>',
         "", [("say", {"t": "7"})]),
        ("function-tags", "<function=say><parameter=t>x\n</parameter></function>", "", [("say", {"t": "x\n"})]),
        ("invoke", '<invoke name="say"><parameter name="t"></parameter></parameter></invoke>', "",
         [("say", {"t": "</parameter>"})]),
        ("params", '<function name="say"><param name="t"><![CDATA[a\n</param>]]></param></function>', "",
         [("say", {"t": "a\n</param>"})]),
        ("gemma4", '<|tool_call>call:say{t:<|"|>a, {b}<|"|>,n:[1,-2.5,null,None,<|"|>x<|"|>]}<tool_call|>', "",
         [("say", {"t": "a, {b}", "n": [1, -2.5, None, None, "x"]})]),
        ("functiongemma", "<start_function_call>call:say{t:<escape>a<escape>}<end_function_call>", "",
         [("say", {"t": "a"})]),
        ("lfm2", "<|tool_call_start|>[say(t='a', n=[1, {\"b\": true}]), date()]<|tool_call_end|>", "",
         [("say", {"t": "a", "n": [1, {"b": True}]}), ("date", {})]),
        ("llama4", "[sum(a=1)]<|eot|>", "", [("sum", {"a": 1})]),
        ("llama4", "[other(a=1)]", "[other(a=1)]", []),
        ("tool-code", "```tool_code\nsum(a=1)\n```", "", [("sum", {"a": 1})]),
        ("apertus", '<|tools_prefix|>[{"sum": {"a": 1}}]<|tools_suffix|>', "", [("sum", {"a": 1})]),
        ("command-r7b", '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "sum", "parameters": {"a": 1}}]'
         "<|END_ACTION|>", "", [("sum", {"a": 1})]),
        ("llama3", '{"name": "sum", "parameters": {"a": 1}}<|eot_id|>', "", [("sum", {"a": 1})]),
        ("llama3", '{"type": "function", "name": "sum", "parameters": {"a": 1}}', "", [("sum", {"a": 1})]),
        ("llama3", '<|python_tag|>{"name": "sum", "parameters": {"a": 1}}<|eom_id|>', "", [("sum", {"a": 1})]),
        ("llama3", '{"name": "Ada", "born": 1815}', '{"name": "Ada", "born": 1815}', []),
        ("llama3", 'It is {"name": "sum", "parameters": {}}', 'It is {"name": "sum", "parameters": {}}', []),
        ("json", '```json\n{"name": "sum", "arguments": {"a": 1}}\n```', "", [("sum", {"a": 1})]),
        ("json", '[{"name": "date", "arguments": {}}]', "", [("date", {})]),
    ],
)  # fmt: skip
def test_calls_are_read_as_the_model_family_writes_them(form, answer, text, calls):
    reading = read(form, answer)
    assert (reading.text, [(call.name, call.arguments) for call in reading.calls]) == (text, calls)
    assert not reading.problem


@pytest.mark.parametrize(
    ("form", "answer", "problem"),
    [
        ("hermes", "<tool_call>{broken</tool_call>", "without a name"),
        ("hermes", '<tool_call>{"name": "sum", "arguments": [1]}</tool_call>', "sum whose arguments"),
        ("hermes", '<tool_call>{"name": "sum", "arguments": {"a": NaN}}</tool_call>', "no JSON"),
        ("hermes", '<tool_call>{"name": "sum", "arguments": {"a": 1e999}}</tool_call>', "no JSON"),
        ("mistral-args", "[TOOL_CALLS]sum[ARGS]{", "sum whose arguments"),
        ("function-tags", "<function=sum><parameter=a>1", "sum whose arguments"),
        ("gemma4", '<|tool_call>call:say{t:<|"|>a', "text does not end"),
        ("gemma4", "<|tool_call>call:say{n:nan}<tool_call|>", "say with a number that is not finite"),
        ("lfm2", "<|tool_call_start|>[say(n=[-1e999])]<|tool_call_end|>", "say with a number that is not finite"),
        ("hermes", f'<tool_call>{{"name": "sum", "arguments": {{"a": {10**2000}}}}}</tool_call>', "than 4096 bits"),
        ("lfm2", "<|tool_call_start|>[say(open('/etc/passwd'))]<|tool_call_end|>", "cannot be read"),
        ("lfm2", "<|tool_call_start|>[say(t=1 + 1)]<|tool_call_end|>", "cannot be read"),
    ],
)
def test_what_cannot_be_read_as_a_call_is_said_and_nothing_is_called(form, answer, problem):
    reading = read(form, answer)
    assert problem in reading.problem
    assert (reading.text, reading.calls) == (answer, ())


@pytest.mark.parametrize("filling", [" ", "\n", "a", "<", "[", "to=", ">>>", "<tool_call>", "<parameter=x>"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_long_run_of_anything_is_read_at_once(form, filling):
    for begin in ("", *form.begins):
        assert read(form.name, begin + filling * (60_000 // len(filling))).calls == ()


NESTS = {
    "hermes": '<tool_call>{"name": "say", "arguments": {"n": %s}}</tool_call>',
    "mistral": '[TOOL_CALLS][{"name": "say", "arguments": {"n": %s}}]',
    "mistral-args": '[TOOL_CALLS]say[ARGS]{"n": %s}',
    "function-tags": "<function=say><parameter=n>%s</parameter></function>",
    "gemma4": "<|tool_call>call:say{n:%s}<tool_call|>",
    "lfm2": "<|tool_call_start|>[say(n=%s)]<|tool_call_end|>",
    "llama3": '{"name": "say", "parameters": {"n": %s}}',
}


@pytest.mark.parametrize("depth", [DEEPEST, 900, 6000, 200_000])
@pytest.mark.parametrize("form", NESTS)
def test_a_call_that_nests_deep_is_refused_in_a_sentence(form, depth):
    for inner in ("[" * depth + "]" * depth, "[" * depth):
        reading = read(form, NESTS[form] % inner)
        assert reading.calls == () or all(isinstance(call.arguments["n"], str) for call in reading.calls)


def test_what_nests_as_deep_as_is_allowed_is_read():
    value = json.loads("[" * (DEEPEST - 1) + "]" * (DEEPEST - 1))
    assert read("mistral-args", NESTS["mistral-args"] % json.dumps(value)).calls[0].arguments == {"n": value}


@pytest.mark.parametrize(
    ("answer", "inside", "calls"),
    [
        ("<think>%s</think>No.", False, []),
        ("<think>%s", False, []),
        ("%s", True, []),
        ("%s</think>No.", True, []),
        ("%s</think>No.", False, []),
        ("<think>no</think>%s", False, ["date"]),
        ("no</think>%s", True, ["date"]),
        ("no</think>%s", False, ["date"]),
        ("Well. <think>%s</think> No.", False, []),
        ('<tool_call>{"name": "say", "arguments": {"t": "<think>"}}</tool_call>%s', False, ["say", "date"]),
        ('<tool_call>{"name": "say", "arguments": {"t": "</think>"}}</tool_call>%s', False, ["say", "date"]),
        ("%s<think>%s</think>%s", False, ["date", "date"]),
    ],
)
def test_a_call_in_a_thought_is_none(answer, inside, calls):
    call = '<tool_call>{"name": "date", "arguments": {}}</tool_call>'
    reading = read("hermes", answer.replace("%s", call), inside, THOUGHT)
    assert [call.name for call in reading.calls] == calls


def test_after_a_thought_the_whole_answer_may_be_a_call():
    answer = '<think>{"name": "date", "parameters": {}}</think>\n{"name": "sum", "parameters": {"a": 1}}'
    assert [call.name for call in read("llama3", answer, thought=THOUGHT).calls] == ["sum"]


def test_half_a_character_becomes_one():
    answer = '<tool_call>{"name": "say", "arguments": {"t": "a\\ud800", "\\udfff": 1}}</tool_call>'
    assert read("hermes", answer).calls[0].arguments == {"t": "a\ufffd", "\ufffd": 1}


@pytest.mark.parametrize("form", [one for one in FORMATS if one.triggers([SUM])])
def test_the_grammar_admits_calls_of_the_tools_and_no_others(form):
    def admitted(arguments, name="sum"):
        return any(jsonschema.Draft202012Validator(schema).is_valid(value)
                   for _, schema in form.triggers([SUM, DATE]) for value in _values(form, name, arguments))  # fmt: skip

    assert admitted({"a": 1})
    assert admitted({}, "date")
    assert not hasattr(form, "called") or not admitted({"a": 1}, "rm")


def _values(form, name, arguments):
    if not hasattr(form, "called"):
        return [arguments]
    value = {name: arguments} if form.keyed else {form.called: name, form.arguments: arguments}
    return [[value] if form.in_list else value]


def test_any_text_is_read_without_an_exception():
    texts = [
        "",
        "{",
        "[",
        "\x00\ud800",
        json.dumps([[]]),
        '{"name": 1}',
        '{"name": "sum"',
        "[a(",
        "[a(b=c)]",
        "[a(**b)]",
    ]
    texts += [mark for form in FORMATS for mark in form.marks]
    texts += [answer % "" for answer in NESTS.values()]
    for form in FORMATS:
        for text in texts:
            for end in ("", "{", "}", "sum", "\n{}"):
                assert form.name
                Reader(form, (SUM,), THOUGHT).read(text + end)
