"""Text in a pipe: whole words, soon."""

import io
from types import SimpleNamespace

import pytest

from llamachat.engine.events import Token
from llamachat.terminal import output
from llamachat.terminal.words import PATIENCE_S, WordOutput


class Pipe(io.StringIO):
    """Remembers what was there at each flush."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def flush(self) -> None:
        self.pieces.append(self.getvalue())
        self.seek(0)
        self.truncate()


@pytest.fixture
def pipe(monkeypatch):
    made = Pipe()
    monkeypatch.setattr(output, "sys", SimpleNamespace(stdout=made))
    return made


def said(out, *texts):
    for text in texts:
        out.event(Token(text, 1))


def test_a_word_is_written_when_it_has_ended(pipe):
    out = WordOutput(clock=lambda: 0)
    said(out, "Hel", "lo", ", wor", "ld", "!\nNext", " one")
    assert pipe.pieces == ["Hello, ", "world!\n", "Next "]
    out.end_line()
    assert pipe.pieces[-1] == "one\n"


def test_a_script_without_blanks_does_not_wait(pipe):
    out = WordOutput(clock=lambda: 0)
    said(out, "世", "界。")
    assert pipe.pieces == ["世", "界。"]


def test_the_parts_of_an_emoji_stay_together(pipe):
    out = WordOutput(clock=lambda: 0)
    said(out, "👩", "\u200d", "👧", " ")
    assert pipe.pieces == ["👩\u200d👧 "]


def test_nobody_waits_long_for_the_end_of_a_word(pipe):
    now = [0.0]
    out = WordOutput(clock=lambda: now[0])
    said(out, "endless")
    now[0] = PATIENCE_S / 2
    out.idle()
    assert pipe.pieces == []
    now[0] = PATIENCE_S
    out.idle()
    assert pipe.pieces == ["endless"]
    said(out, "ness")
    now[0] += PATIENCE_S
    said(out, "es")
    assert pipe.pieces == ["endless", "nesses"]


def test_what_is_held_comes_out_at_the_end_and_before_anything_else(pipe):
    out = WordOutput(clock=lambda: 0)
    said(out, "half")
    out.write("|")
    said(out, "word")
    out.close()
    out.close()
    assert pipe.pieces == ["half|", "word\n"]


def test_an_empty_answer_has_no_line(pipe):
    out = WordOutput(clock=lambda: 0)
    out.end_line()
    assert pipe.pieces == []
