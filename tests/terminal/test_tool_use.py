"""Tools in a chat: calls are shown, asked for, run, and told to the model."""

import re
import sys
from dataclasses import replace
from typing import Any

import pytest
from scripted import ScriptedModel

from llamachat.dialogue.answering import MOST_ROUNDS
from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.responder import Responder
from llamachat.dialogue.tools import using
from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.using import Agreement, ToolUse
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.session.chats import ChatStore
from llamachat.templates.named import builtin_template
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.chatting import Chat
from llamachat.terminal.console import Console
from llamachat.terminal.tools.agreement import question_of
from llamachat.terminal.tools.shown import NO_TOOLS

TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}{% endif %}"
    "{% for m in messages %}{{ m.role }}:{{ m.content }}{% for call in m.tool_calls or () %}"
    "<tool_call>{{ call.function | tojson }}</tool_call>{{ call.id }}{% endfor %}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
UPPER = Tool(
    "upper",
    "Makes letters large.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    (sys.executable, "-c", "import sys; print(sys.argv[1].upper())", "{text}"),
)
CALL = '<tool_call>{"name": "upper", "arguments": {"text": "abc"}}</tool_call>'


@pytest.fixture
def make():
    def made(*answers: str, agree: Any = True, yes: bool = False, template: str = TEMPLATE) -> Chat:
        model: Any = ScriptedModel(answers)
        store = ChatStore(None)
        asked: list[str] = []
        use = ToolUse((UPPER,), template, lambda words: (asked.append(question_of(words)), agree)[1], yes)
        options = GenerationOptions(sampling=SamplingOptions(temp=0.0), grammar=use.grammar())
        responder = Responder(model, model.context(8192), options, Console())
        talk = Conversation(model.tokenizer, ChatTemplate(template), store, store.create("m"), use.described())
        chat = Chat(responder, talk, tools=use)
        chat.asked = asked  # type: ignore[attr-defined]
        return chat

    return made


def prompts(chat):
    return [bytes(t for t in ids if t < 256).decode() for ids in chat.responder.context.prompts]


def test_a_call_is_run_when_the_person_agrees_and_the_model_goes_on(make, capsys):
    chat = make(f"Wait. {CALL}", "It is ABC.")
    chat.ask("Large abc?")
    said = capsys.readouterr().out
    assert '-> upper(text="abc")' in said
    assert "tool_call" not in said
    assert said.startswith("Wait.")
    assert "<- ABC" in said
    assert len(chat.asked) == 1
    assert "'import sys; print(sys.argv[1].upper())' abc" in chat.asked[0]
    path = chat.conversation.path()
    assert [(one.role, one.content) for one in path] == [
        ("user", "Large abc?"), ("assistant", "Wait."), ("tool", "ABC"), ("assistant", "It is ABC.")
    ]  # fmt: skip
    assert path[1].extra["tool_calls"][0]["function"] == {"name": "upper", "arguments": {"text": "abc"}}
    assert "Makes letters large." in prompts(chat)[0]
    assert "tool:ABC" in prompts(chat)[1]


def test_a_call_that_is_not_allowed_is_not_run_and_the_model_is_told(make):
    chat = make(CALL, "Sorry.", agree=False)
    chat.ask("Large abc?")
    assert chat.conversation.path()[2].content == "error: the person did not allow this call"


def test_always_holds_for_the_tool_in_this_chat_only(make):
    chat = make(CALL, CALL, "Done.", CALL, "Done.", agree=Agreement.ALWAYS)
    chat.ask("Large abc?")
    assert len(chat.asked) == 1
    store = chat.conversation.store
    chat.conversation.change(store.create("m"))
    chat.ask("Other words?")
    assert len(chat.asked) == 2


def test_ids_are_nine_letters_or_digits_and_the_same_for_call_and_result(make):
    chat = make(f"{CALL}{CALL}", "Done.", yes=True)
    chat.ask("Go")
    path = chat.conversation.path()
    ids = [call["id"] for call in path[1].extra["tool_calls"]]
    assert [one.extra["tool_call_id"] for one in path[2:4]] == ids
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", one) for one in ids)
    assert len(set(ids)) == 2


def test_a_call_that_nests_deep_is_said_and_the_chat_continues(make, capsys):
    deep = "[" * 6000
    chat = make(f'<tool_call>{{"name": "upper", "arguments": {{"text": {deep}', "Fine.", yes=True)
    chat.responder = replace(chat.responder, options=replace(chat.responder.options, grammar=None))
    chat.ask("Go")
    assert "(not run: a call that nests deeper than" in capsys.readouterr().out
    chat.ask("And?")
    assert chat.last.text == "Fine."


def test_with_yes_nobody_is_asked(make):
    chat = make(CALL, "Done.", yes=True)
    chat.ask("Large abc?")
    assert chat.asked == []
    assert chat.conversation.path()[2].content == "ABC"


def test_a_call_that_has_begun_obeys_the_tools(make):
    chat = make('<tool_call>{"name": "rm", "arguments": {"text": 1}}', yes=True)
    chat.responder = replace(chat.responder, options=replace(chat.responder.options, max_tokens=30))
    chat.ask("Do")
    assert chat.last.text.startswith('<tool_call>{"name": "upper"')


def test_endless_calls_are_stopped(make, capsys):
    chat = make(*[CALL] * (MOST_ROUNDS + 3), yes=True)
    chat.ask("Go")
    assert f"{MOST_ROUNDS} answers in a row" in capsys.readouterr().out
    assert len([one for one in chat.conversation.path() if one.role == "tool"]) == MOST_ROUNDS


def test_control_bytes_of_arguments_do_not_reach_the_terminal(make, capsys):
    chat = make(
        '<tool_call>{"name": "upper", "arguments": {"text": "a\\u001b]0;x\\u0007"}}</tool_call>', "Done.", yes=True
    )
    chat.ask("Go")
    assert "\x1b" not in capsys.readouterr().out


def test_a_template_without_tools_is_refused():
    with pytest.raises(UsageError, match="knows of no tools"):
        ToolUse((UPPER,), "{{ messages }}", lambda _: True)


def test_parameters_that_cannot_be_enforced_are_refused_by_name():
    odd = Tool("odd", parameters={"type": "object", "properties": {"a": {"frobnicate": 1}}})
    with pytest.raises(UsageError, match="frobnicate"):
        ToolUse((odd,), TEMPLATE, lambda _: True)


def test_a_call_through_the_built_in_template_is_run(make):
    chat = make('<tool_call>\n{"name": "upper", "arguments": {"text": "abc"}}\n</tool_call>', "It is ABC.",
                template=builtin_template("hermes"))  # fmt: skip
    chat.ask("Large abc?")
    assert [one.content for one in chat.conversation.path()][-2:] == ["ABC", "It is ABC."]
    assert "<tool_response>\nABC\n</tool_response>" in prompts(chat)[-1]


def test_a_call_of_another_answer_is_run_too(make):
    chat = make("No call.", CALL, "It is ABC.")
    chat.ask("Large abc?")
    chat.conversation.set(system="Use tools.")
    assert chat.again()
    assert [one.content for one in chat.conversation.path()][-2:] == ["ABC", "It is ABC."]


def test_ctrl_c_at_a_call_leaves_no_call_without_a_result(make, monkeypatch):
    chat = make(f"{CALL}{CALL}", "Very well.")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(using, "run_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chat.ask("Large abc?")
    path = chat.conversation.path()
    assert [one.role for one in path] == ["user", "assistant", "tool", "tool"]
    assert {one.content for one in path[2:]} == {using.STOPPED}
    ids = [call["id"] for call in path[1].extra["tool_calls"]]
    assert [one.extra["tool_call_id"] for one in path[2:]] == ids


def test_results_are_shown_again_as_results_and_that_there_are_no_tools_now(make, capsys):
    chat = make(CALL, "Done.", yes=True)
    chat.ask("Go")
    capsys.readouterr()
    chat.recall()
    assert capsys.readouterr().out == "(4 messages before)\n\n<- ABC\n\nDone.\n"
    chat.tools = None
    chat.recall()
    assert capsys.readouterr().out.endswith(f"{NO_TOOLS}\n")
