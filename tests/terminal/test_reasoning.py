"""Thoughts are told from answers, however they are cut, and become one line."""

from pathlib import Path

import pyte
import pytest

from llamachat.engine.events import Token
from llamachat.terminal import live, reasoning
from llamachat.terminal.output import Output
from llamachat.terminal.reasoning import Markers, ReasoningView, Thought, markers_of

THINK = Markers("<think>", "</think>")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "inside", "thought", "answer"),
    [
        ("<think>\nhm\n</think>\n\nYes.", False, "\nhm\n", "\n\nYes."),
        ("hm</think>Yes <think> no", True, "hm", "Yes <think> no"),
        ("No thought < here", False, "", "No thought < here"),
        ("never ends", True, "never ends", ""),
        ("ends with <thi", False, "", "ends with <thi"),
        ("a</think>b</think>c", True, "a", "b</think>c"),
        ("", False, "", ""),
    ],
)
def test_markers_are_found_wherever_they_are_cut(size, text, inside, thought, answer):
    told = Thought(THINK, inside)
    pieces = [one for at in range(0, len(text), size) for one in told.feed(text[at : at + size])] + told.finish()
    assert "".join(piece for is_thought, piece in pieces if is_thought) == thought
    assert "".join(piece for is_thought, piece in pieces if not is_thought) == answer


@pytest.mark.parametrize(
    ("template", "opening"),
    [
        ("Qwen-Qwen3-0.6B", "<think>"),
        ("ByteDance-Seed-OSS", "<seed:think>"),
        ("mistralai-Ministral-3-14B-Reasoning-2512", "[THINK]"),
        ("meta-llama-Llama-3.1-8B-Instruct", None),
    ],
)
def test_the_template_says_which_markers_there_are(golden: Path, template, opening):
    found = markers_of((golden / "templates" / f"{template}.jinja").read_text("utf-8"))
    assert (found.opening if found else None) == opening


class Shown:
    """A view over a screen."""

    def __init__(self, monkeypatch, hide=False, terminal=True, inside=False):
        self.screen = pyte.Screen(40, 12)
        stream, self.raw = pyte.Stream(self.screen), ""

        def write(text):
            self.raw += text
            stream.feed(text.replace("\n", "\r\n"))

        monkeypatch.setattr(reasoning, "write", write)
        monkeypatch.setattr(live.shutil, "get_terminal_size", lambda: __import__("os").terminal_size((40, 12)))
        self.inner = Inner(write, terminal)
        self.now = 0.0
        self.view = ReasoningView(self.inner, Thought(THINK, inside), hide, lambda: self.now)

    def say(self, *pieces):
        for piece in pieces:
            self.view.event(Token(piece, 1))

    @property
    def lines(self):
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines


class Inner(Output):
    def __init__(self, write, terminal):
        self._write, self.is_terminal, self.text, self.closed = write, terminal, "", False

    def write(self, text):
        self.text += text
        self._write(text)

    def end_line(self):
        pass

    def close(self):
        self.closed = True


def test_a_thought_is_dimmed_while_it_comes_and_one_line_then(monkeypatch):
    shown = Shown(monkeypatch)
    shown.say("<think>", "first\n", *(f"line {n}\n" for n in range(20)))
    assert shown.lines == [f"line {n}" for n in range(14, 20)]
    assert "\x1b[2mline 19" in shown.raw
    shown.now = 2.5
    shown.say("</think>", "\n\nThe answer.")
    assert shown.lines == ["thought for 22 tokens, 2.5 s", "The answer."]
    assert shown.inner.text == "The answer."


def test_a_hidden_thought_is_nowhere(monkeypatch):
    shown = Shown(monkeypatch, hide=True)
    shown.say("<think>", "secret", "</think>", "Yes")
    shown.view.close()
    assert shown.lines == ["Yes"]
    assert "secret" not in shown.raw
    assert shown.inner.closed


def test_without_a_terminal_only_the_answer_is_written(monkeypatch):
    shown = Shown(monkeypatch, terminal=False, inside=True)
    shown.say("thinking", "</think>", "Yes")
    shown.view.close()
    assert shown.raw == "Yes"


def test_an_answer_that_is_stopped_within_a_thought_leaves_one_line(monkeypatch):
    shown = Shown(monkeypatch, inside=True)
    shown.say("a\n", "b\n")
    shown.view.close()
    assert shown.lines == ["thought for 2 tokens, 0.0 s"]


def test_an_empty_thought_leaves_nothing(monkeypatch):
    shown = Shown(monkeypatch)
    shown.say("<think>", "\n\n", "</think>", "\n\nHi")
    shown.view.close()
    assert shown.lines == ["Hi"]


def test_control_bytes_of_a_thought_are_gone(monkeypatch):
    shown = Shown(monkeypatch, inside=True)
    shown.say("\x1b]52;c;x\x07evil\x9b")
    assert "\x1b]" not in shown.raw
    assert "\x9b" not in shown.raw
