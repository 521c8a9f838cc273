"""Slash commands on a chat with a scripted model: what they change, what they say, what they refuse."""

import json
from dataclasses import replace

import pytest
from scripted_chat import prompts, talk

from llamachat.dialogue.responder import Responder
from llamachat.errors import ContextFull, UsageError
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.commands import COMMANDS, complete, run_command


def test_every_command_explains_itself_and_is_completed(make):
    chat = make()
    assert {one.text for one in complete("/", chat)} == {command.name for command in COMMANDS}
    assert [one.text for one in complete("/reg", chat)] == ["/regen"]
    assert all(command.help for command in COMMANDS)


def test_help_lists_all_or_tells_one(make, capsys):
    chat = make()
    assert run_command("/help", chat)
    said = capsys.readouterr().out
    assert all(command.name in said for command in COMMANDS)
    run_command("/help undo", chat)
    assert "take back the last turn" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["/bye", "/exit", "/quit", "/BYE"])
def test_leaving(make, word):
    assert not run_command(word, make())


def test_a_wrong_command_names_the_nearest(make):
    with pytest.raises(UsageError, match="did you mean /regen"):
        run_command("/regn", make())
    with pytest.raises(UsageError, match="/help lists"):
        run_command("/xyzzy", make())


def test_regen_keeps_the_earlier_answer_as_a_branch(make):
    chat = make("One", "Two")
    chat.ask("Say")
    run_command("/regen", chat)
    tree = chat.conversation.store.tree_of(chat.conversation.chat)
    assert [one.role for one in tree] == ["user", "assistant", "assistant"]
    assert [one.parent for one in tree] == [None, tree[0].id, tree[0].id]
    assert chat.conversation.head == tree[2].id


def test_regen_with_a_seed_draws_with_another_one(make, monkeypatch):
    chat = make()
    seeds = []
    answer = Responder.answer
    monkeypatch.setattr(
        Responder, "answer", lambda self, *given: (seeds.append(self.options.sampling.seed), answer(self, *given))[1]
    )
    run_command("/set seed 7", chat)
    chat.ask("Say")
    run_command("/regen", chat)
    run_command("/regen", chat)
    assert seeds == [7, 8, 9]
    assert chat.responder.options.sampling.seed == 7


def test_undo_takes_turns_back_and_what_follows_is_as_if_they_had_not_been(make, capsys):
    chat = make("A", "B", "C", "D")
    for text in ("one", "two", "three"):
        chat.ask(text)
    run_command("/undo 2", chat)
    assert "Taken back: two" in capsys.readouterr().out
    assert talk(chat) == [("user", "one"), ("assistant", "A")]
    chat.ask("four")
    assert "two" not in prompts(chat)[-1]
    run_command("/undo", chat)
    run_command("/undo", chat)
    with pytest.raises(UsageError, match="nothing to take back"):
        run_command("/undo", chat)
    with pytest.raises(UsageError, match="a number"):
        run_command("/undo x", chat)


def test_earlier_turns_are_never_evaluated_again(make):
    chat = make("A", "B", "C", "D", "E")
    chat.ask("one")
    chat.ask("two")
    assert chat.last.timings.n_known > chat.last.timings.n_prompt - 60
    run_command("/regen", chat)
    assert chat.last.timings.n_prompt - chat.last.timings.n_known <= 1
    run_command("/undo", chat)
    chat.ask("three")
    n_new = chat.last.timings.n_prompt - chat.last.timings.n_known
    assert n_new <= len("three") + len("user\nassistant\n") + 12
    run_command("/system Be brief", chat)
    chat.ask("four")
    assert "Be brief" in prompts(chat)[-1]


def test_edit_answers_the_changed_message_and_keeps_the_old_one(make, capsys):
    chat = make("A", "B")
    chat.ask("wrogn")
    chat.editor = lambda text: text.replace("gn", "ng")
    run_command("/edit", chat)
    assert talk(chat) == [("user", "wrong"), ("assistant", "B")]
    chat.editor = lambda _text: None
    run_command("/edit", chat)
    assert "nothing was changed" in capsys.readouterr().out
    assert len(chat.conversation.store.tree_of(chat.conversation.chat)) == 4


@pytest.mark.parametrize("command", ["/clear", "/new"])
def test_a_new_chat_keeps_the_system_prompt_and_the_chat_before(make, capsys, command):
    chat = make("A", "B")
    run_command("/system Be kind", chat)
    chat.ask("one")
    before, empty = chat.conversation.chat, len(chat.conversation.tokens())
    run_command(command, chat)
    assert f"/load {before}" in capsys.readouterr().out
    assert chat.conversation.chat != before
    assert talk(chat) == [("system", "Be kind")]
    assert chat.n_tokens < empty
    run_command(f"/load {before}", chat)
    assert talk(chat) == [("system", "Be kind"), ("user", "one"), ("assistant", "A")]
    run_command(command, chat)
    run_command("/system -", chat)
    assert talk(chat) == []


def test_set_shows_and_changes_any_sampler_or_length(make, capsys):
    chat = make()
    run_command("/set", chat)
    assert "top_k" in capsys.readouterr().out
    run_command("/set temp 0.5", chat)
    run_command("/set n-predict 3", chat)
    run_command("/set ignore_eos on", chat)
    run_command("/set samplers top_k;temperature", chat)
    run_command("/set on-full stop", chat)
    run_command("/set reasoning hide", chat)
    assert (chat.settings.on_full, chat.settings.reasoning) == ("stop", "hide")
    options = chat.responder.options
    assert (options.sampling.temp, options.max_tokens, options.sampling.ignore_eos) == (0.5, 3, True)
    assert options.sampling.samplers == ("top_k", "temperature")
    assert {"temp", "ignore_eos"} <= options.sampling.given
    run_command("/set temp", chat)
    assert "temp is 0.5: divides" in capsys.readouterr().out
    assert "top_k" in [one.text for one in complete("/set top", chat)]
    run_command("/show", chat)
    said = capsys.readouterr().out
    assert "temp 0.5" in said
    assert "n_predict 3" in said
    assert "top_p" not in said


def test_another_size_of_the_context_keeps_what_was_computed(make, capsys):
    chat = make("One.", "Two.")
    chat.ask("Hello")
    tokens = list(chat.responder.context.tokens)
    run_command("/set ctx-size 8000", chat)
    assert (chat.responder.context.n_ctx, chat.responder.context.tokens) == (8000, tokens)
    said = capsys.readouterr().out
    assert "ctx_size is 8000 from now on" in said
    assert "trained with a context of 4096" in said
    chat.ask("And?")
    assert [content for _, content in talk(chat)] == ["Hello", "One.", "And?", "Two."]
    run_command("/set ctx_size 10", chat)
    assert "trained" not in capsys.readouterr().out
    with pytest.raises(ContextFull):
        chat.ask("More?")


def test_other_types_of_the_cache_compute_anew(make, capsys):
    chat = make("One.", "Two.")
    chat.ask("Hello")
    run_command("/set cache_type_v q8_0", chat)
    assert (chat.responder.context.cache_types, chat.responder.context.tokens) == (("f16", "q8_0"), [])
    run_command("/set cache-type-k q4_0", chat)
    assert chat.responder.context.cache_types == ("q4_0", "q8_0")
    run_command("/show", chat)
    said = capsys.readouterr().out
    assert "cache_type_k q4_0, cache_type_v q8_0" in said
    assert "ctx_size" not in said.partition("from now on")[2].partition("settings")[2]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/set ctx_size ", ["4096"]),
        ("/set cache_type_k q8", ["q8_0"]),
        ("/set ignore_eos ", ["on", "off"]),
        ("/set ignore-eos of", ["off"]),
        ("/set top_k ", ["7", "40", "default"]),
        ("/set seed ", ["-1"]),
        ("/set samplers top_", ["top_n_sigma", "top_k", "top_p"]),
        ("/set nothing ", []),
        ("/set on_full s", ["shift", "summarize", "stop"]),
    ],
)
def test_values_of_a_setting_are_completed(make, typed, offered):
    chat = make()
    run_command("/set top_k 7", chat)
    found = complete(typed, chat)
    assert [one.text.split()[-1] for one in found] == offered
    assert all(one.start == len(typed) - len("/set ") for one in found)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/set tmep 1", "did you mean temp"),
        ("/set threads 1", "when llamachat starts: -t"),
        ("/set ctx-size big", "a whole number"),
        ("/set on_full explode", "on_full is shift, summarize or stop"),
        ("/set temp hot", "must be a number"),
        ("/set top_k 1.5", "a whole number"),
        ("/set temp -1", "must be from 0"),
        ("/set ignore_eos maybe", "on or off"),
        ("/set samplers nothing", "no sampler named"),
        ("/set n_predict -3", "-2 or more"),
        ("/think maybe", "on or off"),
        ("/grammar root ::= x", "no rule 'x'"),
        ("/json {", "JSON"),
        ("/json {\"foo\": 1}", "foo"),
        ("/load nowhere", "no chat 'nowhere'; /sessions shows"),
        ("/load", "/load needs"),
        ("/save", "/save needs"),
        ("/save 12", "cannot be named"),
        ("/export", "/export needs"),
        ("/export x.pdf", "this file extension names no format"),
        ("/export /no/such/folder/x.md", "no such folder"),
        ("/file", "/file needs"),
        ("/regen", "no message to answer"),
        ("/edit", "no message to edit"),
        ("/stats", "no answer yet"),
        ("/copy", "no answer to copy"),
        ("/why", "no answer yet"),
        ("/model other", "cannot be changed"),
    ],
)  # fmt: skip
def test_wrong_words_are_refused_and_change_nothing(make, line, said):
    chat = make()
    options = chat.responder.options
    with pytest.raises(UsageError, match=said):
        run_command(line, chat)
    assert chat.responder.options == options
    assert talk(chat) == []


def test_json_and_grammar_hold_until_they_are_off(make):
    chat = make("not json", "not json")
    run_command('/json {"type": "integer"}', chat)
    chat.ask("number")
    assert isinstance(json.loads(chat.last.text), int)
    run_command("/json off", chat)
    chat.ask("text")
    assert chat.last.text == "not json"


@pytest.mark.parametrize(
    ("source", "said"),
    [("{{ messages }}", "no switch for thinking"), ("{% if enable_thinking %}{% endif %}", "Thinking is off.")],
)
def test_whether_a_template_knows_of_thinking_is_said(make, capsys, source, said):
    chat = make()
    chat.conversation.template = ChatTemplate(source)
    run_command("/think off", chat)
    assert said in capsys.readouterr().out


def test_words_after_a_command_may_begin_in_the_next_line(make):
    chat = make()
    run_command("/system\nBe kind.\nBe brief.", chat)
    assert chat.conversation.system == "Be kind.\nBe brief."


def test_what_is_copied_has_no_thoughts(make, capsys):
    chat = make("<think>\nHm.\n</think>\n\nYes", "<think>\nHm")
    chat.conversation.template = ChatTemplate("{{ messages[-1].content }}{# <think></think> #}")
    chat.ask("Is it?")
    run_command("/copy", chat)
    assert "Copied, 3 bytes" in capsys.readouterr().out
    chat.ask("And why?")  # a thought that never ends is better than nothing
    capsys.readouterr()
    run_command("/copy", chat)
    assert "Copied, 10 bytes" in capsys.readouterr().out


def test_chats_are_named_listed_loaded_forked_and_exported(make, capsys, tmp_path):
    chat = make("A", "B")
    chat.ask("first question")
    run_command("/save mine", chat)
    first = chat.conversation.chat
    run_command("/fork copy", chat)
    chat.ask("second question")
    run_command("/sessions", chat)
    said = capsys.readouterr().out
    assert "mine" in said
    assert "copy" in said
    run_command("/load mine", chat)
    assert chat.conversation.chat == first
    assert talk(chat) == [("user", "first question"), ("assistant", "A")]
    run_command("/sessions second", chat)
    assert "second question" in capsys.readouterr().out
    run_command(f"/export {tmp_path}/chat.md", chat)
    assert "first question" in (tmp_path / "chat.md").read_text()
    run_command(f"/export {tmp_path}/chat.txt json", chat)
    assert json.loads((tmp_path / "chat.txt").read_text())["name"] == "mine"
    assert "mine" in [one.text for one in complete("/load m", chat)]


def test_looking_changes_nothing(make, capsys):
    chat = make("Hi there")
    chat.ask("Hello")
    before = talk(chat)
    for line, said in (
        ("/show", "context"),
        ("/stats", "generation"),
        ("/tokens ab", "2 tokens: 97:'a' 98:'b'"),
        ("/tokens", "of 4096"),
        ("/template", "<|im_start|>user\nHello<|im_end|>"),
        ("/copy", "Copied, 8 bytes"),
        ("/model", "continues with another"),
        ("/system", "no system prompt"),
    ):
        run_command(line, chat)
        assert said in capsys.readouterr().out, line
    assert talk(chat) == before


def test_a_template_that_trims_earlier_thoughts_reads_again_only_the_answer_they_stood_in(make):
    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content if loop.last or m.role == 'user' else m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    thought = "<think>" + "hm " * 100 + "</think>"
    chat = make(*(f"{thought}answer {number}" for number in range(3)))
    chat.conversation.template = ChatTemplate(source)
    for number in range(3):
        before = len(chat.prompt)
        chat.ask(f"question {number}")
        assert "hm" not in prompts(chat)[-1]
        assert chat.last.timings.n_known >= before - 1
    run_command("/regen", chat)
    assert chat.last.timings.n_prompt - chat.last.timings.n_known <= 1


def test_another_model_goes_on_with_the_talk(make, capsys):
    chat = make("A")
    chat.ask("one")
    other = make("B").responder.in_chats()
    chat.open_model = lambda name: other
    run_command("/model other", chat)
    chat.ask("two")
    assert "one" in prompts(chat)[0]
    assert talk(chat)[-1] == ("assistant", "B")


def test_the_model_before_is_closed_and_settings_that_were_made_stay(make):
    chat = make("A")
    before, other = chat.responder.model, make("B").responder.in_chats()
    own = replace(other.options.sampling, top_p=0.5)
    chat.open_model = lambda name: replace(other, options=replace(other.options, sampling=own))
    run_command("/set temp 0.25", chat)
    run_command("/model other", chat)
    assert before.closed
    assert not chat.responder.model.closed
    assert (chat.responder.options.sampling.temp, chat.responder.options.sampling.top_p) == (0.25, 0.5)
