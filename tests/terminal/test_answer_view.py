"""Which view an answer gets."""

import sys

import pytest

from llamachat.terminal.output import Output
from llamachat.terminal.view import MarkdownView, answer_view


@pytest.mark.parametrize(("plain", "environment"), [(True, {}), (False, {"TERM": "dumb"}), (False, {"TERM": ""})])
def test_where_it_is_not_welcome_the_text_comes_raw(monkeypatch, capsys, plain, environment):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    output = Output()
    output.is_terminal = True
    shown = answer_view(output, plain)
    assert shown is output
    shown.write("# *raw*\x1b[31m")
    shown.close()
    assert capsys.readouterr().out == "# *raw*\n"


def test_a_terminal_that_cannot_move_its_cursor_is_not_asked_to(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    output = Output()
    output.is_terminal = True
    assert answer_view(output) is output


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_markdown_with_colours_or_without(monkeypatch, no_color):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    output = Output()
    output.is_terminal = True
    assert type(answer_view(output)) is MarkdownView


def test_a_pipe_gets_the_raw_text():
    assert not sys.stdout.isatty()
    assert isinstance(answer_view(Output()), Output)
