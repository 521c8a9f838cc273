"""Thoughts are told from answers, however they are cut, and become one line."""

import re
from pathlib import Path

import pytest
from golden_data import needed
from hypothesis import given, settings
from hypothesis import strategies as st
from screens import DRAWINGS, Terminal

from llamachat.dialogue.thinking import Thinking, spellings
from llamachat.dialogue.thoughts import KNOWN, Markers, Thought, markers_of
from llamachat.engine.events import Stop, Token
from llamachat.terminal.answer_sinks import answer_sink
from llamachat.terminal.chat_settings import ChatSettings
from llamachat.terminal.output import Output
from llamachat.terminal.reasoning import ReasoningView
from llamachat.terminal.view import MarkdownView

THINK = Markers("<think>", "</think>")


def told_apart(text, inside, size, markers=THINK):
    """The thought and the answer of a text in pieces of so many characters."""
    told = Thought(markers, inside)
    pieces = [one for at in range(0, len(text), size) for one in told.feed(text[at : at + size])] + told.finish()
    return tuple("".join(piece for is_thought, piece in pieces if is_thought is wanted) for wanted in (True, False))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "inside", "thought", "answer"),
    [
        ("<think>\nhm\n</think>\n\nYes.", False, "\nhm\n", "\n\nYes."),
        ("\n <think>hm</think>Yes", False, "hm", "Yes"),
        ("<think>hm</think>Yes", True, "hm", "Yes"),
        ("hm</think>Yes <think> no", True, "hm", "Yes <think> no"),
        ("hm <think> m</think>Yes", True, "hm <think> m", "Yes"),
        ("No thought < here", False, "", "No thought < here"),
        ("The tag <think> begins it, </think> ends it", False, "", "The tag <think> begins it, </think> ends it"),
        ("never ends", True, "never ends", ""),
        ("<think>never </thin ends </think", False, "never </thin ends </think", ""),
        ("<thi", False, "", "<thi"),
        ("ends with <thi", False, "", "ends with <thi"),
        ("a</think>b</think>c", True, "a", "b</think>c"),
        ("  spaces stay", False, "", "  spaces stay"),
        ("", False, "", ""),
    ],
)
def test_markers_are_found_wherever_they_are_cut(size, text, inside, thought, answer):
    assert told_apart(text, inside, size) == (thought, answer)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["<", "<think>", "</think>", "</", "think", ">", "a", "\n", " "]), max_size=12).map(
        "".join
    ),
    st.booleans(),
    st.integers(1, 7),
)
def test_pieces_change_nothing(text, inside, size):
    assert told_apart(text, inside, size) == told_apart(text, inside, max(len(text), 1))


@pytest.mark.parametrize("markers", KNOWN, ids=lambda markers: markers.opening.strip())
def test_every_known_pair_tells_apart(markers):
    assert told_apart(f"{markers.opening}hm{markers.closing}Yes", False, 3, markers) == ("hm", "Yes")


@pytest.mark.parametrize(
    ("template", "opening"),
    [
        ("Qwen-Qwen3-0.6B", "<think>"),
        ("ByteDance-Seed-OSS", "<seed:think>"),
        ("Apriel-1.6-15b-Thinker-fixed", "Here are my reasoning steps:\n"),
        ("Apertus-8B-Instruct", "<|inner_prefix|>"),
        ("google-gemma-4-31B-it", "<|channel>thought\n"),
        ("openai-gpt-oss-120b", "<|channel|>analysis<|message|>"),
        ("mistralai-Ministral-3-14B-Reasoning-2512", "[THINK]"),
        ("meta-llama-Llama-3.1-8B-Instruct", None),
        ("google-gemma-2-2b-it", None),
    ],
)
def test_the_template_says_which_markers_there_are(golden: Path, template, opening):
    found = markers_of(needed(golden / "templates" / f"{template}.jinja").read_text("utf-8"))
    assert (found.opening if found else None) == opening


def test_a_template_that_names_one_marker_only_knows_both():
    assert markers_of("{{ content.split('</think>')[-1] }}") == THINK
    assert markers_of("{{ '<think>\\n' }}") == THINK


class Vocabulary:
    """A tokenizer with two control tokens."""

    TEXTS = ("[THINK]", "[/THINK]", "x")

    def encode(self, text, add_special, parse_special):
        assert parse_special
        assert not add_special
        return [self.TEXTS.index(text)]

    def decode(self, ids, special):
        assert special
        return "".join(self.TEXTS[token] for token in ids)

    def piece_bytes(self, token):
        return b"" if token < 2 else b"x"


def test_markers_that_are_control_tokens_are_spelled_for_the_view():
    spelled = spellings(Markers("[THINK]", "[/THINK]"), Vocabulary())
    assert spelled == {0: "[THINK]", 1: "[/THINK]"}
    assert spellings(Markers("x", "x"), Vocabulary()) == {}
    shown = Shown(markers=Markers("[THINK]", "[/THINK]"), spelled=spelled)
    for text, token in (("", 0), ("hm", 5), ("", 1), ("Yes", 6)):
        shown.view.event(Token(text, token))
    shown.view.close()
    assert shown.lines == ["thought for 2 tokens, 0.0 s", "Yes"]


class Answers:
    """A sink that keeps what it gets, and shows it."""

    def __init__(self, terminal):
        self._terminal = terminal
        self.text, self.closed = "", False

    def event(self, event):
        self.text += event.text
        self._terminal.write(event.text)

    def idle(self):
        pass

    def close(self):
        self.closed = True


class Shown:
    """A view of thoughts over a screen."""

    def __init__(self, hide=False, inside=False, markers=THINK, spelled=None):
        self.terminal = Terminal(40, 12, step=0.0)
        self.inner = Answers(self.terminal)
        self.view = ReasoningView(self.inner, Thinking(markers, inside, spelled or {}), hide, self.terminal.screen)

    def say(self, *pieces):
        for piece in pieces:
            self.terminal.now += 1000  # every piece is drawn, however slow the machine is
            self.view.event(Token(piece, 1))

    @property
    def raw(self):
        return self.terminal.raw

    @property
    def lines(self):
        return self.terminal.lines


def test_a_thought_is_dimmed_while_it_comes_and_one_line_then():
    shown = Shown()
    shown.say("<think>", "first\n", *(f"line {n}\n" for n in range(20)))
    assert shown.lines == [f"line {n}" for n in range(14, 20)]
    assert "\x1b[2mline 19" in shown.raw
    shown.say("</think>", "\n\nThe answer.")
    assert shown.lines == ["thought for 22 tokens, 23000.0 s", "The answer."]
    assert shown.inner.text == "The answer."


def test_a_thought_is_wrapped_between_words():
    shown = Shown(inside=True)
    shown.say("some words that are together wider than the screen, and a", "n" * 50)
    assert shown.lines == ["some words that are together wider than", "the screen, and", "a" + "n" * 39, "n" * 11]


def test_a_long_thought_is_drawn_from_a_place_near_its_end():
    shown = Shown(inside=True)
    shown.say(*(f"word{n} " for n in range(2000)))
    assert shown.lines[-1].endswith("word1999")
    assert len(shown.lines) == 6


def test_a_hidden_thought_shows_only_that_there_is_one():
    shown = Shown(hide=True)
    shown.say("<think>", "secret", "more")
    assert shown.lines == ["thinking: 2 tokens"]
    shown.say("</think>", "Yes")
    shown.view.close()
    assert shown.lines == ["Yes"]
    assert "secret" not in shown.raw
    assert shown.inner.closed


@pytest.fixture
def told(monkeypatch, capsys):
    """Writes an answer, whose thought begins with it, to standard output; what comes out."""

    def told(is_terminal=True, term="dumb", **settings):
        monkeypatch.setenv("TERM", term)
        output = Output()
        output.is_terminal = is_terminal
        sink = answer_sink(output, ChatSettings(**settings), Thinking(THINK))
        for piece in ("<think>", "hm", "</think>", "Yes"):
            sink.event(Token(piece, 1))
        sink.close()
        return capsys.readouterr().out

    return told


def test_without_a_terminal_only_the_answer_is_written(told):
    assert told(is_terminal=False) == "Yes\n"


def test_where_nothing_can_be_drawn_all_text_comes_as_it_is(told):
    assert told() == "<think>hm</think>Yes\n"


def test_where_nothing_can_be_drawn_a_hidden_thought_is_hidden(told):
    assert told(reasoning="hide") == "Yes\n"


def test_a_plain_answer_has_its_thought_unless_that_is_hidden(told):
    assert told(term="xterm", plain=True) == "<think>hm</think>Yes\n"
    assert told(term="xterm", plain=True, reasoning="hide") == "Yes\n"


def test_an_answer_that_is_stopped_within_a_thought_leaves_one_line():
    shown = Shown(inside=True)
    shown.say("a\n", "b\n")
    shown.view.event(Stop("", "length"))
    shown.view.close()
    assert shown.lines == ["thought for 2 tokens, 2000.0 s"]


def test_a_thought_that_the_model_ended_with_is_its_answer():
    shown = Shown(inside=True)
    shown.say("It is ", "Paris.")
    shown.view.event(Stop("", "eos"))
    shown.view.close()
    assert shown.lines == ["It is Paris."]
    assert shown.inner.text == "It is Paris."


def test_an_empty_thought_leaves_nothing():
    shown = Shown()
    shown.say("<think>", "\n\n", "</think>", "\n\nHi")
    shown.view.close()
    assert shown.lines == ["Hi"]


def test_an_answer_in_markdown_follows_the_folded_thought():
    terminal = Terminal(40, 12)
    view = ReasoningView(MarkdownView(terminal.screen), Thinking(THINK, True), screen=terminal.screen)
    for piece in ("hm, ", "well\n</th", "ink>\n\nSome *wo", "rds*\n\n- a\n"):
        view.event(Token(piece, 1))
    view.close()
    assert terminal.lines[1:] == ["Some words", "", " • a"]
    assert re.fullmatch(r"thought for 3 tokens, \d+\.0 s", terminal.lines[0])


@pytest.mark.parametrize("size", [1, 3, 100])
def test_control_bytes_of_a_thought_are_gone(size):
    shown = Shown(inside=True)
    evil = "\x1b]52;c;x\x07evil\x9b31m\ttab\r\x08 漢字"
    for at in range(0, len(evil), size):
        shown.say(evil[at : at + size])
    assert not re.search("[\x00-\x1f\x7f-\x9f]", re.sub(DRAWINGS, "", shown.raw))
    assert "evil" in shown.lines[0]
    assert "52;c" not in shown.raw
