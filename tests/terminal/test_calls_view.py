"""Calls of tools are not shown as a model writes them, and nothing else is lost from an answer."""

import pytest
from scripted import ScriptedTokenizer

from llamachat.dialogue.sinks import Discard
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.hiding import CallsSink
from llamachat.dialogue.tools.using import ToolUse
from llamachat.engine.events import Stop, Token

HEAD = "{{ tools }}{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}{# <think> </think> MARKS #}"
HERMES = HEAD.replace("MARKS", "<tool_call>")
LLAMA = HEAD.replace("MARKS", '"name" "parameters"')
MISTRAL = HEAD.replace("MARKS", "[TOOL_CALLS] [ARGS]")
CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
WHOLE = '{"name": "f", "parameters": {"a": "' + "x" * 200 + '"}}'
JSON = '{"fruits": ["apple", "' + "x" * 200 + '"]}'


class Seen(Discard):
    def __init__(self):
        self.text, self.while_open = "", ""

    def event(self, event):
        self.text += event.text


def shown(template, answer, inside=False, stopped=True, step=1):
    view, use = Seen(), ToolUse((Tool("f"),), template, lambda _: False)
    calls = CallsSink(view, use.dialect, use.dialect.reader(use.tools), ScriptedTokenizer(), inside)
    for start in range(0, len(answer), step):
        calls.event(Token(answer[start : start + step], 97))
    view.while_open = view.text
    if stopped:
        calls.event(Stop("", "eos"))
    calls.close()
    return view


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("template", "answer", "text"),
    [
        (HERMES, "Hello.", "Hello."),
        (HERMES, "a < b <tool", "a < b <tool"),
        (HERMES, f"Wait. {CALL}", "Wait. "),
        (HERMES, f"Wait. {CALL}{CALL} Then.", "Wait.  Then."),
        (HERMES, "The mark <tool_call> begins a call.", "The mark <tool_call> begins a call."),
        (HERMES, "<tool_call>{broken", "<tool_call>{broken"),
        (HERMES, f"<think>{CALL}</think>Hm.", f"<think>{CALL}</think>Hm."),
        (HERMES, f"<think>Hm.</think>{CALL}", "<think>Hm.</think>"),
        (MISTRAL, "[TOOL_CALLS]f[ARGS]{}", ""),
        (LLAMA, WHOLE, ""),
        (LLAMA, JSON, JSON),
        (LLAMA, "{", "{"),
        (LLAMA, f"It is {WHOLE}", f"It is {WHOLE}"),
        (LLAMA, f"<think>{WHOLE}</think>\n{WHOLE}", f"<think>{WHOLE}</think>\n"),
    ],
)
def test_all_but_calls_is_shown(template, answer, text, step):
    assert shown(template, answer, step=step).text == text


def test_an_answer_that_begins_within_a_thought():
    assert shown(HERMES, f"{CALL}</think>Hm. {CALL}", inside=True).text == f"{CALL}</think>Hm. "


def test_a_call_that_was_stopped_is_shown_because_it_is_not_run():
    assert shown(HERMES, f"Wait. {CALL}", stopped=False).text == f"Wait. {CALL}"


@pytest.mark.parametrize(("template", "answer"), [(HERMES, "Hello {there}."), (LLAMA, JSON)])
def test_other_text_is_shown_as_it_comes(template, answer):
    assert shown(template, answer).while_open == answer
