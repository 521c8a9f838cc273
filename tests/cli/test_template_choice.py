"""--chat-template and --template-kwargs: what they take, and what they refuse."""

from types import SimpleNamespace

import pytest

from llamachat.cli.template_choice import Reasoning, TemplateChoice
from llamachat.errors import UsageError


def test_a_template_is_a_name_a_file_or_jinja(tmp_path):
    (tmp_path / "own.jinja").write_text("{{ messages[0].content }}!")
    assert "<start_of_turn>" in TemplateChoice("gemma").source()
    assert TemplateChoice(str(tmp_path / "own.jinja")).source().endswith("!")
    assert TemplateChoice("{{ 1 }}").source() == "{{ 1 }}"
    assert TemplateChoice().source() is None


def test_reasoning_off_tells_the_template_unless_it_is_told_otherwise():
    assert TemplateChoice(reasoning=Reasoning.OFF).variables() == {"enable_thinking": False}
    choice = TemplateChoice(template_kwargs='{"enable_thinking": true, "x": [1]}', reasoning=Reasoning.OFF)
    assert choice.variables() == {"enable_thinking": True, "x": [1]}


def test_a_chat_with_tools_takes_the_file_s_template_for_them_unless_another_is_given():
    tokenizer = SimpleNamespace(bos=None, eos=None, piece=str)
    model = SimpleNamespace(tokenizer=tokenizer, chat_template="plain", tool_template="for tools")
    assert TemplateChoice().chosen(model, tools=True).source == "for tools"
    assert TemplateChoice().chosen(model) is None
    assert "<start_of_turn>" in TemplateChoice("gemma").chosen(model, tools=True).source
    model.tool_template = None
    assert TemplateChoice().chosen(model, tools=True) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"chat_template": "gema"}, "did you mean gemma"),
        ({"chat_template": "no-such-file"}, "neither a known name, nor a file, nor Jinja"),
        ({"chat_template": "no/such/file"}, "^--chat-template no/such/file: no such file"),
        ({"template_kwargs": "{"}, "not JSON"),
        ({"template_kwargs": "[1]"}, "must be a JSON object"),
        ({"template_kwargs": '{"messages": []}'}, "messages is part of every conversation"),
    ],
)
def test_what_is_neither_is_refused_in_one_sentence(given, said):
    with pytest.raises(UsageError, match=said):
        TemplateChoice(**given)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        TemplateChoice(str(tmp_path / "x"))


def test_templates_lists_names_and_prints_one(llamachat):
    assert b"chatml\n" in llamachat("templates").stdout
    assert b"<|im_start|>" in llamachat("templates", "chatml").stdout
    assert llamachat("templates", "nothing").returncode == 2
