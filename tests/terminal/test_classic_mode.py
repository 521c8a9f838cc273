"""The classic mode step by step, as llama.cpp's `-i` is described: what the model reads, what the person sees."""

import io
import sys

import pytest
from scripted import BOS, EOS, ScriptedModel

from llamachat.dialogue.responder import Responder
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.terminal.console import Console
from llamachat.terminal.interactive import Interactive, Looks, Wording

USER = ("User:",)


class Talk:
    """A mode that was run to the end of its input: what was shown, and the text that the model last read."""

    def __init__(self, capsys, monkeypatch, prompt, typed, answers, first=False, n_predict=-1, looks=None, **wording):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        self.model = ScriptedModel(answers)
        context = self.model.context()
        options = GenerationOptions(max_tokens=n_predict, sampling=SamplingOptions(temp=0.0))
        console = Console()
        responder = Responder(self.model, context, options, console)
        self.code = Interactive(responder, Wording(**wording), console, looks).run(prompt, first)
        self.shown = capsys.readouterr().out
        self.read = [self._text(ids) for ids in context.prompts]
        self.whole = self._text(context.tokens)

    def _text(self, ids):
        return "".join({BOS: "<s>", EOS: "</s>"}.get(token) or chr(token) for token in ids)


@pytest.fixture
def talk(capsys, monkeypatch):
    return lambda *given, **more: Talk(capsys, monkeypatch, *given, **more)


def test_the_reverse_prompt_hands_over_and_stays_in_the_text(talk):
    told = talk(
        "Talk.\nUser:", "Who?\nWhy?\n", ("Bot: I.\nUser: not mine", "Bot: so.\nUser:"), reverse=USER, prefix=" "
    )
    assert told.shown == "Talk.\nUser: Bot: I.\nUser: Bot: so.\nUser: \n"
    assert told.read == ["<s>Talk.\nUser: Who?\n", "<s>Talk.\nUser: Who?\nBot: I.\nUser: Why?\n"]
    assert told.code == 0


def test_the_model_begins_unless_the_prompt_ends_with_a_reverse_prompt(talk):
    assert talk("Once", "", (" upon.",)).read == ["<s>Once"]
    assert talk("Once User:", "", (" upon.",), reverse=USER).read == []


def test_the_person_may_begin_whatever_the_prompt_is(talk):
    told = talk("Once", " upon\n", (" a time.",), first=True)
    assert told.read == ["<s>Once upon\n"]


def test_the_first_of_several_reverse_prompts_ends_the_turn(talk):
    told = talk("Go", "x\n", (" on. Q: A:", "done"), reverse=("A:", "Q:"))
    assert told.shown.startswith("Go on. Q:")
    assert told.read[1] == "<s>Go on. Q:x\n"


def test_where_the_model_ends_by_itself_the_first_reverse_prompt_is_put_in(talk):
    told = talk("Go", "x\n", (" end", "done"), reverse=("A:", "Q:"))
    assert told.shown.startswith("Go end\nA:")
    assert told.read[1] == "<s>Go end\nA:x\n"


def test_where_the_model_ends_by_itself_and_there_is_no_reverse_prompt_a_new_line_begins(talk):
    told = talk("Go", "x\n", (" end", "done"), prefix="> ")
    assert told.shown == "Go end\n> done\n> \n"
    assert told.read[1] == "<s>Go end> x\n"


def test_an_empty_line_lets_the_model_go_on_and_adds_nothing(talk):
    told = talk("Go", "\n", (" on User:", " further"), reverse=USER, prefix=" ", suffix="Bot:")
    assert told.read[1:] == []
    assert told.whole.startswith("<s>Go on User:")


def test_prefix_and_suffix_stand_around_what_is_typed_and_the_suffix_comes_after_the_line_break(talk):
    told = talk("Go User:", "hi\n", (" on",), reverse=USER, prefix=" ", suffix="Bot:")
    assert told.read == ["<s>Go User: hi\nBot:"]
    assert told.shown.startswith("Go User: Bot: on")


def test_a_beginning_of_text_token_goes_before_the_prefix(talk):
    assert talk("Go User:", "hi\n", (" on",), reverse=USER, prefix=" ", bos=True).read == ["<s>Go User:<s> hi\n"]


@pytest.mark.parametrize(
    ("typed", "several", "text"),
    [
        pytest.param("one\n", False, "one\n", id="a line with its break"),
        pytest.param("one/\n", False, "one", id="/ takes the break away"),
        pytest.param("one\\\ntwo\n", False, "one\ntwo\n", id="a backslash goes on"),
        pytest.param("one\\\ntwo/\n", False, "one\ntwo", id="both"),
        pytest.param("one", False, "one\n", id="the input ends within a line"),
        pytest.param("one\r\n", False, "one\n", id="a Windows line end"),
        pytest.param("one\ntwo\\\n", True, "one\ntwo\n", id="several lines end with a backslash"),
        pytest.param("one\ntwo/\n", True, "one\ntwo", id="several lines end with /"),
        pytest.param("one\n\ntwo\\\n", True, "one\n\ntwo\n", id="an empty line among several"),
        pytest.param("one\ntwo\n", True, "one\ntwo\n", id="several lines end with the input"),
    ],
)
def test_the_end_of_a_line_says_how_it_goes_on(talk, typed, several, text):
    told = talk("Go User:", typed, (" on",), reverse=USER, several_lines=several)
    assert told.read == [f"<s>Go User:{text}"]


def test_escapes_in_typed_lines_are_put_in_unless_they_are_not_wanted(talk):
    assert talk("User:", "a\\tb\\x41\n", ("x",), reverse=USER).read == ["<s>User:a\tbA\n"]
    assert talk("User:", "a\\tb\n", ("x",), reverse=USER, escapes=False).read == ["<s>User:a\\tb\n"]


def test_what_a_person_types_is_never_a_control_token(talk):
    assert talk("User:", "</s>\n", ("x",), reverse=USER).model.contexts[0].tokens.count(EOS) == 0


def test_the_prompt_s_own_control_tokens_count(talk):
    assert talk("</s>Go", "", ("x",)).read == ["<s></s>Go"]


def test_n_counts_both_and_begins_anew_at_the_person_s_turn(talk):
    told = talk("Go", "ab\n", (" 1234567890", "1234567890"), n_predict=5)
    assert told.shown == "Go 123412\n"  # five tokens; then five less those of "ab" and its line break
    assert told.whole.startswith("<s>Go 1234ab\n1")


def test_the_prompt_is_shown_unless_it_is_not_wanted(talk):
    assert talk("Once", "", (" upon.",), looks=Looks(prompt=False)).shown == " upon.\n"


def test_a_closed_input_ends_the_mode(talk):
    told = talk("Go", "", (" on.",), reverse=USER)
    assert (told.code, told.shown) == (0, "Go on.\nUser:\n")


@pytest.mark.parametrize("n_keep", [0, 3, -1])
def test_a_text_that_outgrows_the_context_goes_on_turn_after_turn(monkeypatch, capsys, n_keep):
    monkeypatch.setattr(sys, "stdin", io.StringIO("And then?\n" * 12))
    model = ScriptedModel(("x" * 500,))
    context = model.context(64)
    options = GenerationOptions(max_tokens=300, n_keep=n_keep, sampling=SamplingOptions(temp=0.0))
    console = Console()
    told = Interactive(Responder(model, context, options, console), Wording(), console)
    assert told.run("Once upon a time") == 0
    assert len(context.prompts) == 13
    kept = {0: 1, 3: 4, -1: len("<Once upon a time")}[n_keep]  # the beginning-of-text token does not count
    begin = model.tokenizer.encode("Once upon a time", add_special=True)
    for prompt in context.prompts[1:]:
        assert len(prompt) <= 64
        assert prompt[:kept] == begin[:kept]
    assert not any(prompt[: kept + 1] == begin[: kept + 1] for prompt in context.prompts[1:] if n_keep >= 0)
