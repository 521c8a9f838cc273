"""/set: every name that a setting has, several values, none, and back; what was set is kept with the chat."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from scripted_chat import talk

from llamachat.cli.app import make_program
from llamachat.cli.groups import options_by_name
from llamachat.errors import UsageError
from llamachat.terminal.commands import run_command
from llamachat.terminal.commands.nearest import nearest, slips
from llamachat.terminal.commands.set_command import apply_chosen
from llamachat.terminal.commands.setting_names import AT_THE_START, ELSEWHERE, NOT_HERE, SYNONYMS, canonical
from llamachat.terminal.commands.settings import SETTINGS


def said(chat, capsys, line):
    run_command(line, chat)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("/set temperature 0.25", "temp", "0.25"),
        ("/set --temp 0.25", "temp", "0.25"),
        ("/set parameter temperature 0.25", "temp", "0.25"),
        ("/set temp=0.25", "temp", "0.25"),
        ("/set parameter temp=0.25", "temp", "0.25"),
        ("/set num_ctx 512", "ctx_size", "512"),
        ("/set -c 512", "ctx_size", "512"),
        ("/set num_predict 7", "n_predict", "7"),
        ("/set max-tokens 7", "n_predict", "7"),
        ("/set Top-N-Sigma 2", "top_nsigma", "2.0"),
        ("/set mirostat_tau 4", "mirostat_ent", "4.0"),
        ("/set stop END", "stop", "END"),
        ('/set stop "END OF" STOP', "stop", '"END OF" STOP'),
        (r"/set stop \n\n", "stop", r"\n\n"),
        ("/set samplers top_k;temp", "samplers", "top_k;temperature"),
        ("/set samplers top_k temp", "samplers", "top_k;temperature"),
        ("/set sampling_seq kt", "samplers", "top_k;temperature"),
        ("/set logit_bias 97+1 98-inf", "logit_bias", "97+1 98-inf"),
        ('/set dry_sequence_breaker \\n "a b"', "dry_sequence_breaker", r'\n "a b"'),
        ("/set penalize_nl yes", "penalize_nl", "on"),
        ("/set verbose on", "verbose", "on"),
    ],
)
def test_a_setting_by_any_of_its_names_and_back_again(make, capsys, line, name, value):
    chat = make()
    before = {one.name: one.value(chat) for one in SETTINGS.values()}
    assert "from now on" in said(chat, capsys, line)
    assert SETTINGS[name].value(chat) == value
    changed = SYNONYMS.get(name, name) if "sampling_seq" not in line else "sampling_seq"
    assert "from now on" in said(chat, capsys, f"/set {changed} default")
    assert {one.name: one.value(chat) for one in SETTINGS.values()} == before
    assert chat.conversation.chosen == {}


@pytest.mark.parametrize("word", ["none", "off", "default"])
@pytest.mark.parametrize("line", ["/set logit_bias 97+1", "/set stop END", "/set dry_sequence_breaker x"])
def test_a_setting_of_several_values_is_emptied(make, capsys, line, word):
    chat = make()
    run_command(line, chat)
    assert "from now on" in said(chat, capsys, f"{line.rpartition(' ')[0]} {word}")
    name = line.split()[1]
    assert (SETTINGS[name].value(chat) == "none") is (word != "default" or name != "dry_sequence_breaker")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("/set logit_bias 260+1", "no token 260"),
        ("/set temp 0.1 0.2", "one value, not 2"),
        ("/set temp none", "must be a number"),
        ('/set stop ""', "empty text"),
        ("/set think off", "/think"),
        ("/set system Be kind", "/system"),
        ("/set format json", "/json"),
        ("/set num_gpu 1", "processor"),
        ("/set num_thread 4", "-t"),
        ("/set stap END", "did you mean stop"),
        ("/set temprature 1", "did you mean temperature"),
        ("/set zebra 1", "shows all"),
    ],
)
def test_what_cannot_be_set_names_what_does_it_and_changes_nothing(make, line, wanted):
    chat = make()
    with pytest.raises(UsageError, match=wanted):
        run_command(line, chat)
    assert chat.conversation.chosen == {}


def test_every_option_of_a_chat_is_a_setting_or_is_explained():
    every = options_by_name(SimpleNamespace(command=make_program().commands["chat"]))
    unknown = []
    for name in every:
        try:
            canonical(name, SETTINGS, every)
        except UsageError as error:
            if "did you mean" in str(error) or "shows all" in str(error):
                unknown.append(name)
    assert unknown == []
    with pytest.raises(UsageError, match="when llamachat starts: --if-open"):
        canonical("if-open", SETTINGS, every)
    names = [*ELSEWHERE, *AT_THE_START, *NOT_HERE, *SYNONYMS]
    assert len(names) == len(set(names))
    assert not set(names) & SETTINGS.keys()
    assert set(SYNONYMS.values()) <= SETTINGS.keys()


def test_stop_texts_end_an_answer_beside_the_templates_own(make):
    chat = make("one END two", "three END four")
    run_command("/set stop END", chat)
    chat.ask("Say")
    assert chat.last.text == "one "
    run_command("/set stop none", chat)
    chat.ask("Say")
    assert chat.last.text == "three END four"


def test_what_was_set_is_kept_with_the_chat_and_holds_there_only(make, capsys):
    chat = make("A", "B", "C")
    chat.ask("one")
    run_command("/save first", chat)
    run_command("/set temp 0.25", chat)
    run_command("/set stop END", chat)
    run_command("/new", chat)
    assert chat.responder.options.sampling.temp == 0.25
    run_command("/set temp 0.5", chat)
    chat.ask("two")
    run_command("/save second", chat)
    assert "set in this chat: temp 0.25, stop END" in said(chat, capsys, "/load first")
    assert chat.responder.options.sampling.temp == 0.25
    run_command("/set default", chat)
    run_command("/load second", chat)
    assert chat.responder.options.sampling.temp == 0.5
    run_command("/load first", chat)
    assert chat.responder.options.sampling.temp == chat.start.options.sampling.temp
    assert SETTINGS["stop"].value(chat) == "none"


def test_the_command_line_counts_before_what_is_kept(make, capsys):
    chat = make()
    chat.conversation.choose("temp", "0.25")
    chat.conversation.choose("top_k", "7")
    chat.start = replace(chat.start, typed=frozenset({"temp"}))
    apply_chosen(chat)
    sampling = chat.responder.options.sampling
    assert (sampling.temp, sampling.top_k) == (chat.start.options.sampling.temp, 7)
    assert "set in this chat: top_k 7)" in capsys.readouterr().out


def test_a_kept_setting_that_cannot_be_is_said_and_the_chat_goes_on(make, capsys):
    chat = make()
    for name, text in (("temp", "hot"), ("zebra", "1"), ("logit_bias", "99999999+1"), ("top_k", "5")):
        chat.conversation.choose(name, text)
    apply_chosen(chat)
    out = capsys.readouterr().out
    assert [
        out.count(f"{name} {text} is kept") for name, text in (("temp", "hot"), ("zebra", "1"), ("top_k", "5"))
    ] == [1, 1, 0]
    assert chat.responder.options.sampling.top_k == 5
    chat.ask("Say")
    assert talk(chat)[-1] == ("assistant", "An answer.")


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("tmep", "temp", 1), ("abc", "abc", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "a", 1)],
)
def test_slips_are_counted(one, other, count):
    assert (slips(one, other), slips(other, one)) == (count, count)


def test_the_nearest_word_is_a_slip_away():
    assert nearest("/regn", ["/regen", "/read"]) == "/regen"
    assert nearest("/search", ["/clear", "/sessions"]) is None
    assert nearest("/x", []) is None
