"""Answers in Markdown on a screen: what is finished stays, what is not is drawn anew, and nothing else moves."""

import os
import random
import re
import sys

import pyte
import pytest

from llamachat.terminal import live, view
from llamachat.terminal.blocks import Block, Blocks, CodeLine
from llamachat.terminal.output import Output
from llamachat.terminal.view import MarkdownView, PlainView, answer_view

SAMPLE = """# Fruit

Three *good* fruits, with `code` and a very long sentence that surely has to be wrapped somewhere:

- apples
- pears
    - of several kinds

  and a paragraph of the item
- plums

1. first
2. second

| name | 漢字 |
| --- | --- |
| a | 🙂 |

> said
> somebody

```python
def f(x):

    return x
```

The end
"""


WORDS = (
    *("Fruit", "Three good fruits", "apples", "of several kinds", "and a paragraph of the item", "plums", "first"),
    *("second", "漢字", "🙂", "said somebody", "def f(x):", "    return x", "The end"),
)
PARTS = (
    *("word ", "**bold** ", "\n", "\n\n", "- item\n", "1. one\n", "```\n", "```py\n", "x = 1\n", "# Head\n", "> q\n"),
    *("| a | b |\n", "|---|---|\n", "    indented\n", "漢字 ", "🙂", "---\n", "`", "*", "[l](u)", "\t", "\\"),
)


class Terminal:
    """A screen with its history, and a clock that stands still or runs."""

    def __init__(self, monkeypatch, columns=60, rows=12):
        self.screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=1)
        self.stream, self.raw, self.now = pyte.Stream(self.screen), "", 0.0
        self.size = columns, rows
        monkeypatch.setattr(view, "write", self.write)
        monkeypatch.setattr(live.shutil, "get_terminal_size", lambda: os.terminal_size(self.size))
        self.view = MarkdownView(Output(), clock=self.clock)

    def clock(self):
        self.now += 1.0  # every piece is drawn
        return self.now

    def write(self, text):
        self.raw += text
        self.stream.feed(text.replace("\n", "\r\n"))

    @property
    def lines(self):
        history = ["".join(line[x].data for x in range(self.size[0])).rstrip() for line in self.screen.history.top]
        shown = [line.rstrip() for line in self.screen.display]
        lines = history + shown
        while lines and not lines[-1]:
            lines.pop()
        return lines


@pytest.fixture
def terminal(monkeypatch):
    return lambda **size: Terminal(monkeypatch, **size)


def said(terminal, text, pieces=1, **size):
    """What is on a terminal after the text came in pieces of so many characters."""
    shown = terminal(**size)
    for at in range(0, len(text), pieces):
        shown.view.write(text[at : at + pieces])
    shown.view.close()
    return shown


def test_blocks_are_cut_as_they_are_finished():
    blocks = Blocks()
    assert blocks.feed("# A\npara") == [Block("# A")]
    assert blocks.rest == "para"
    assert blocks.feed("graph\nmore\n\n- a\n") == [Block("paragraph\nmore")]
    assert blocks.feed("- b\n\nText\n```py\nx = 1\n") == [
        Block("- a\n- b"),
        Block("Text"),
        CodeLine("x = 1", "py", True),
    ]
    assert blocks.feed("y\n```\n") == [CodeLine("y", "py", False)]
    assert blocks.feed("end") == []
    assert blocks.finish() == [Block("end")]


def test_an_open_fence_ends_with_the_text():
    blocks = Blocks()
    blocks.feed("```\na\nb")
    assert blocks.code
    assert blocks.finish() == [CodeLine("b", "", False)]


def test_everything_is_there_once_and_in_order(terminal):
    shown = said(terminal, SAMPLE, columns=60, rows=50).lines
    text = "\n".join(shown)
    for word in WORDS:
        assert text.count(word) == 1, word
    assert "```" not in text
    assert "**" not in text
    assert shown[0] == "Fruit"


@pytest.mark.parametrize(("columns", "rows"), [(60, 50), (60, 6), (30, 5), (200, 24)])
@pytest.mark.parametrize("pieces", [1, 7, 10_000])
def test_pieces_and_small_screens_change_nothing(terminal, columns, rows, pieces):
    wanted = said(terminal, SAMPLE, 10_000, columns=columns, rows=100).lines
    assert said(terminal, SAMPLE, pieces, columns=columns, rows=rows).lines == wanted


def test_random_markdown_in_random_pieces_is_what_it_is_at_once(terminal):
    chance = random.Random(0)
    for _ in range(40):
        text = "".join(chance.choices(PARTS, k=30))
        wanted = said(terminal, text, 10_000, rows=200).lines
        assert said(terminal, text, chance.randint(1, 9), rows=chance.choice([5, 24])).lines == wanted, text


def test_what_has_scrolled_away_is_never_touched(terminal):
    shown = said(terminal, "word\n\n" * 50, rows=5)
    for jump in re.findall(r"\x1b\[(\d+)A", shown.raw):
        assert int(jump) < 5


def test_no_line_ends_with_spaces(terminal):
    raw = said(terminal, SAMPLE, 10_000, rows=60).raw
    assert not re.search(r" +(\x1b\[[0-9;]*m)*\n", raw)


@pytest.mark.parametrize(
    "evil", ["\x1b]52;c;ZXZpbA==\x07", "\x1b[2J", "\x9b31m", "\x07", "[x](http://e\x1b]8;;http://x\x07)", "`\x1b[31m`"]
)
def test_control_bytes_never_reach_the_terminal(terminal, evil):
    for text in (evil, f"```\n{evil}\n```\n", f"| {evil} |\n|---|\n"):
        raw = said(terminal, text).raw
        rest = re.sub(r"\x1b\[(\?2026[hl]|[0-9;]*m|\d+A|J)|\r|\n", "", raw)
        assert not re.search("[\x00-\x1f\x7f-\x9f]", rest), raw


def test_a_screen_that_becomes_narrower_loses_nothing(terminal):
    shown = terminal(columns=60, rows=20)
    shown.view.write("A paragraph of some words that is not finished yet and goes on")
    shown.size = (30, 20)
    shown.screen.resize(20, 30)
    shown.view.write(" for a while.\n\nThe end")
    shown.view.close()
    assert "The end" in "\n".join(shown.lines)
    assert "for a while." in "\n".join(shown.lines)


def test_an_answer_that_stops_anywhere_leaves_nothing_live(terminal):
    for at in range(0, len(SAMPLE), 11):
        shown = said(terminal, SAMPLE[:at], rows=60)
        assert "\n".join(shown.lines).count("Fruit") == (1 if at > 7 else "\n".join(shown.lines).count("Fruit"))
        if shown.raw:
            assert shown.raw.endswith(live.END) or shown.raw.endswith("\n")


@pytest.mark.parametrize(("plain", "environment"), [(True, {}), (False, {"NO_COLOR": "1"}), (False, {"TERM": "dumb"})])
def test_where_it_is_not_welcome_the_text_comes_raw(monkeypatch, capsys, plain, environment):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    output = Output()
    output.is_terminal = True
    shown = answer_view(output, plain)
    assert type(shown) is PlainView
    shown.write("# *raw*\x1b[31m\n")
    assert capsys.readouterr().out == "# *raw*\n"


def test_a_pipe_gets_the_raw_text(capsys):
    assert not sys.stdout.isatty()
    assert type(answer_view(Output())) is PlainView
