"""Slash commands on a chat with a scripted model: what they change, what they say, what they refuse."""

import json
from dataclasses import replace
from typing import Any

import pytest
from scripted import ScriptedModel

from llamachat.engine.generate import GenerationOptions
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import Cancelled, ContextFull, UsageError
from llamachat.library import chat_template
from llamachat.session.chats import ChatStore
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.chatting import Chat, Manner
from llamachat.terminal.commands import COMMANDS, complete, run_command
from llamachat.terminal.conversation import Conversation
from llamachat.terminal.fitting import ASK
from llamachat.terminal.output import Output
from llamachat.terminal.speaker import Speaker
from llamachat.terminal.status import Status


@pytest.fixture
def make(capsys):
    """A chat, and what it has said since the last look."""

    def made(*answers: str, n_ctx: int = 4096, **manner: Any) -> Chat:
        model: Any = ScriptedModel(answers or ("An answer.",))
        options = GenerationOptions(sampling=SamplingOptions(temp=0.0))
        speaker = Speaker(model, model.context(n_ctx), options, Output(), Status())
        store = ChatStore(None)
        talk = Conversation(model.tokenizer, chat_template(model), store, store.create("scripted"))
        return Chat(speaker, talk, Manner(**manner))

    return made


def talk(chat):
    return [(message["role"], message["content"]) for message in chat.conversation.messages()]


def prompts(chat):
    return [bytes(t for t in ids if t < 256).decode() for ids in chat.speaker.context.prompts]


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
    speak = Speaker.speak
    monkeypatch.setattr(
        Speaker, "speak", lambda self, ids: (seeds.append(self.options.sampling.seed), speak(self, ids))[1]
    )
    run_command("/set seed 7", chat)
    chat.ask("Say")
    run_command("/regen", chat)
    run_command("/regen", chat)
    assert seeds == [7, 8, 9]
    assert chat.speaker.options.sampling.seed == 7


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


def test_clear_begins_anew_and_keeps_what_the_model_was_told(make):
    chat = make("A", "B")
    run_command("/system Be kind", chat)
    chat.ask("one")
    run_command("/clear", chat)
    assert talk(chat) == [("system", "Be kind")]
    run_command("/system -", chat)
    assert talk(chat) == []


def test_a_file_goes_before_the_next_message(make, tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk")
    chat = make()
    run_command(f"/file {path}", chat)
    assert "17 tokens" in capsys.readouterr().out
    chat.ask("What?")
    assert "File notes.txt:\n```\nremember the milk\n```\n\nWhat?" in prompts(chat)[0]
    chat.ask("And?")
    assert talk(chat)[2] == ("user", "And?")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe", "not UTF-8"), (b"x" * 5000, "5000 tokens, but the context has room for 40"), (None, "No such file")],
)
def test_a_file_that_cannot_be_attached_is_refused(make, tmp_path, content, said):
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        run_command(f"/file {path}", make())


def test_what_is_no_file_is_not_read(make):
    with pytest.raises(UsageError, match="/dev/zero is not a file"):
        run_command("/file /dev/zero", make())
    with pytest.raises(UsageError, match="no such home directory"):
        run_command("/file ~nobody-of-this-name/x", make())


def test_several_files_are_measured_together_and_can_be_taken_back(make, tmp_path, capsys):
    path = tmp_path / "a.txt"
    path.write_text("y" * 250)
    chat = make(n_ctx=400)
    run_command(f"/file {path}", chat)
    with pytest.raises(UsageError, match=r"250 tokens, but the context has room for \d+$"):
        run_command(f"/file {path}", chat)
    with pytest.raises(ContextFull, match="/file - takes the attached files back"):
        chat.ask("z" * 200)
    run_command("/file -", chat)
    assert "1 file taken back" in capsys.readouterr().out
    chat.ask("z" * 200)
    assert talk(chat)[0] == ("user", "z" * 200)


def test_where_the_talk_has_to_stay_a_file_must_fit_beside_it(make, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("y" * 100)
    chat = make(n_ctx=400, on_full="stop")
    run_command(f"/file {path}", chat)
    run_command("/file -", chat)
    chat.ask("x" * 260)
    with pytest.raises(UsageError, match="has room for"):
        run_command(f"/file {path}", chat)


def test_a_file_with_fences_stays_one_block(make, tmp_path):
    path = tmp_path / "a.md"
    path.write_text("```py\n1\n```")
    chat = make()
    run_command(f"/file {path}", chat)
    chat.ask("What?")
    assert talk(chat)[0][1] == "File a.md:\n````\n```py\n1\n```\n````\n\nWhat?"


def test_paths_are_completed(make, tmp_path):
    (tmp_path / "one.txt").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / ".hidden").write_text("")
    found = complete(f"/file {tmp_path}/o", make())
    assert [one.text for one in found] == [f"{tmp_path}/one.txt", f"{tmp_path}/other/"]
    assert len(complete(f"/export {tmp_path}/", make())) == 2
    assert [one.text for one in complete(f"/export {tmp_path}/a js", make())] == [
        f"{tmp_path}/a json",
        f"{tmp_path}/a jsonl",
    ]
    assert complete("/file ~nobody-of-this-name/", make()) == []


def test_set_shows_and_changes_any_sampler_or_length(make, capsys):
    chat = make()
    run_command("/set", chat)
    assert "top_k" in capsys.readouterr().out
    run_command("/set temp 0.5", chat)
    run_command("/set n-predict 3", chat)
    run_command("/set ignore_eos on", chat)
    run_command("/set samplers top_k;temperature", chat)
    options = chat.speaker.options
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


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/set ignore_eos ", ["on", "off"]),
        ("/set ignore-eos of", ["off"]),
        ("/set top_k ", ["7", "40"]),
        ("/set seed ", ["-1"]),
        ("/set samplers top_", ["top_n_sigma", "top_k", "top_p"]),
        ("/set nothing ", []),
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
        ("/load nowhere", "no chat 'nowhere'"),
        ("/load", "/load needs"),
        ("/save", "/save needs"),
        ("/save 12", "cannot be named"),
        ("/export", "/export needs"),
        ("/export x.pdf", "one of these endings"),
        ("/export /no/such/folder/x.md", "No such file"),
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
    options = chat.speaker.options
    with pytest.raises(UsageError, match=said):
        run_command(line, chat)
    assert chat.speaker.options == options
    assert talk(chat) == []


def test_json_and_grammar_hold_until_they_are_off(make):
    chat = make("not json", "not json")
    run_command('/json {"type": "integer"}', chat)
    chat.ask("number")
    assert isinstance(json.loads(chat.last.text), int)
    run_command("/json off", chat)
    chat.ask("text")
    assert chat.last.text == "not json"


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
        ("/model", "goes on with another"),
        ("/system", "told nothing"),
    ):
        run_command(line, chat)
        assert said in capsys.readouterr().out, line
    assert talk(chat) == before


def test_why_shows_alternatives_and_goes_on_from_another_choice(make, capsys):
    chat = make("Hi there", "new end")
    chat.ask("Hello")
    run_command("/why 1", chat)
    assert "'H' 100%" in capsys.readouterr().out
    evaluated = len(chat.speaker.context.tokens)
    assert evaluated == len(chat.prompt) + len(chat.last.ids) - 1
    run_command("/why 4 2", chat)
    assert chat.last.text.startswith("Hi ")
    assert not chat.last.text.startswith("Hi t")
    tree = chat.conversation.store.tree_of(chat.conversation.chat)
    assert [one.role for one in tree] == ["user", "assistant", "assistant"]
    assert talk(chat)[-1] == ("assistant", chat.last.text)
    for line in ("/why 99", "/why a", "/why 1 9", "/why 1 1 1"):
        with pytest.raises(UsageError):
            run_command(line, chat)


def test_what_was_forgotten_is_remembered_when_nothing_else_is_left(make):
    chat = make(n_ctx=400)
    for number in range(8):
        chat.ask(f"question {number} {'x' * 30}")
    assert chat.conversation.forgotten > 4
    run_command("/undo 6", chat)
    for number in range(2):
        chat.ask(f"new {number}")
    assert [message["content"][:10] for message in chat.conversation.messages()[::2]] == [
        "question 0", "question 1", "new 0", "new 1",
    ]  # fmt: skip


def test_the_oldest_turns_become_a_summary(make, capsys):
    answers = [*(f"answer {number}" for number in range(4)), "It was about x."]
    chat = make(*answers, n_ctx=700, on_full="summarize")
    run_command("/system Be kind", chat)
    for number in range(5):
        chat.ask(f"question {number} {'x' * 70}")
    said = capsys.readouterr().out
    assert "oldest 2 turns become a summary)" in said
    asked = next(prompt for prompt in prompts(chat) if "Summarise our conversation" in prompt)
    assert "Be kind" in asked
    assert "question 0" in asked
    assert "question 2" not in asked
    first = chat.conversation.messages()[1]["content"]
    assert first.startswith("(What was said before, in short: It was about x.)\n\nquestion 2")
    assert len(chat.conversation.path()) == 10  # the chat has them still, and without the summary
    assert not any("in short" in message.content for message in chat.conversation.path())
    run_command("/show", chat)
    assert "the first 4 messages are forgotten, of which it knows: It was about x." in capsys.readouterr().out
    run_command("/clear", chat)
    assert chat.conversation.summary == ""


def test_a_summary_costs_no_more_than_its_question(make, monkeypatch):
    chat = make(*(f"answer {number}" for number in range(5)), n_ctx=700, on_full="summarize")
    answers, speak = [], Speaker.speak

    def spoken(self, ids):
        answers.append(speak(self, ids))
        return answers[-1]

    monkeypatch.setattr(Speaker, "speak", spoken)
    for number in range(5):
        chat.ask(f"question {number} {'x' * 80}")
    summary = next(one for one in answers if one.timings.n_generated and one.text == "answer 4")
    assert summary.timings.n_prompt - summary.timings.n_known <= len(ASK) + len("user\nassistant\n") + 8


def test_a_summary_that_is_stopped_forgets_nothing_and_asks_nothing(make, monkeypatch):
    chat = make(n_ctx=700, on_full="summarize")
    for number in range(4):
        chat.ask(f"question {number} {'x' * 80}")
    before, speak = talk(chat), Speaker.speak
    monkeypatch.setattr(Speaker, "speak", lambda self, ids: replace(speak(self, ids), reason="cancelled"))
    with pytest.raises(Cancelled):
        chat.ask(f"question 4 {'x' * 80}")
    assert talk(chat) == before
    assert chat.conversation.store.settings(chat.conversation.chat).get("forgotten") is None


def test_an_empty_summary_is_no_summary_and_that_is_said(make, capsys):
    chat = make(*(f"answer {number}" for number in range(4)), "", "the end", n_ctx=700, on_full="summarize")
    for number in range(5):
        chat.ask(f"question {number} {'x' * 80}")
    assert "turns are forgotten)" in capsys.readouterr().out
    assert chat.conversation.messages()[0]["content"].startswith("question 2")


def test_an_answer_that_outgrows_the_context_forgets_the_talk_but_not_what_the_model_was_told(make, capsys):
    chat = make("y" * 400, n_ctx=300)
    chat.speaker = replace(chat.speaker, options=replace(chat.speaker.options, n_keep=0, max_tokens=300))
    run_command("/system The word is plugh", chat)
    chat.ask("Say it")
    assert "older tokens were forgotten within this answer)" in capsys.readouterr().out
    held = chat.tokenizer.decode(chat.speaker.context.tokens)
    assert "The word is plugh" in held
    assert "Say it" not in held


def test_where_nothing_may_be_forgotten_an_answer_ends_with_the_context(make, capsys):
    chat = make("y" * 400, n_ctx=300, on_full="stop")
    chat.speaker = replace(chat.speaker, options=replace(chat.speaker.options, n_keep=0, max_tokens=500))
    chat.ask("Say it")
    assert chat.last.reason == "context"
    assert "(cut short: the context is full" in capsys.readouterr().out
    assert chat.last.timings.n_forgotten == 0


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


def test_where_nothing_may_be_forgotten_the_chat_stops_with_the_numbers(make):
    chat = make(n_ctx=200, on_full="stop")
    for number in range(4):
        chat.ask(f"question {number}")
    before = talk(chat)
    with pytest.raises(ContextFull, match=r"the talk has \d+ tokens, but the context holds 200"):
        chat.ask("x" * 100)
    assert talk(chat) == before


def test_another_model_goes_on_with_the_talk(make, capsys):
    chat = make("A")
    chat.ask("one")
    other = make("B").speaker.answering()
    chat.open_model = lambda name: other
    run_command("/model other", chat)
    chat.ask("two")
    assert "one" in prompts(chat)[0]
    assert talk(chat)[-1] == ("assistant", "B")


def test_the_model_before_is_closed_and_settings_that_were_made_stay(make):
    chat = make("A")
    before, other = chat.speaker.model, make("B").speaker.answering()
    own = replace(other.options.sampling, top_p=0.5)
    chat.open_model = lambda name: replace(other, options=replace(other.options, sampling=own))
    run_command("/set temp 0.25", chat)
    run_command("/model other", chat)
    assert before.closed
    assert not chat.speaker.model.closed
    assert (chat.speaker.options.sampling.temp, chat.speaker.options.sampling.top_p) == (0.25, 0.5)
