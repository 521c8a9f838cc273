"""A bell or a notification after a long answer, and the window's title."""

import pytest

from llamachat.terminal import attention
from llamachat.terminal.attention import BELL, Attention, notification, titled

TOLD = ("TERM_PROGRAM", "TMUX", "STY", "VTE_VERSION")


@pytest.fixture
def written(monkeypatch):
    """What goes to a terminal."""
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    found = []
    monkeypatch.setattr(attention, "write", found.append)
    monkeypatch.setattr(attention, "can_notify", lambda: True)
    return found


def waited(notify, seconds, what="done", after_s=20):
    clock = iter([0.0, seconds])
    with Attention(notify, after_s, lambda: next(clock)).after(lambda: what):
        pass


@pytest.mark.parametrize(
    ("notify", "seconds", "what", "told"),
    [
        ("bell", 21.0, "done", [BELL]),
        ("bell", 19.0, "done", []),
        ("bell", 21.0, "", []),
        ("off", 500.0, "done", []),
        ("desktop", 21.0, "done", [BELL]),
    ],
)
def test_only_what_took_long_is_told(written, notify, seconds, what, told):
    waited(notify, seconds, what)
    assert written == told


def test_a_pipe_hears_nothing(written, monkeypatch):
    monkeypatch.setattr(attention, "can_notify", lambda: False)
    waited("bell", 100.0)
    with titled("a chat"):
        pass
    assert written == []


def test_what_fails_tells_nothing(written):
    with pytest.raises(KeyboardInterrupt), Attention("bell", 0).after(lambda: "done"):
        raise KeyboardInterrupt
    assert written == []


@pytest.mark.parametrize(
    ("there", "sequence"),
    [
        ({"TERM": "xterm-kitty"}, "\x1b]99;i=llamachat:e=1;ZG9uZTsgbm93\x1b\\"),
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]9;done; now\x07"),
        ({"VTE_VERSION": "7600"}, "\x1b]777;notify;llamachat;done, now\x1b\\"),
        ({"TERM": "foot"}, "\x1b]777;notify;llamachat;done, now\x1b\\"),
        ({"VTE_VERSION": "7600", "TMUX": "x"}, BELL),
        ({}, BELL),
    ],
)
def test_each_terminal_gets_its_own_sequence(written, monkeypatch, there, sequence):
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    assert notification("done; now") == sequence


def test_a_title_is_set_cleaned_and_taken_back_whatever_happens(written):
    with pytest.raises(SystemExit), titled("evil\x1b]0;x\x07 \n name"):
        raise SystemExit
    assert written == ["\x1b[22;0t\x1b]2;evil name\x07", "\x1b[23;0t"]


@pytest.mark.parametrize("term", ["dumb", "linux", "", "screen"])
def test_a_terminal_without_titles_gets_none(written, monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    with titled("a chat"):
        pass
    assert written == []


def test_a_chat_has_its_title_until_it_ends(talk):
    person = talk(answers=["Yes."])
    person.ask("Well?")
    assert person.raw.count("\x1b[22;0t\x1b]2;llamachat - ") == 1
    assert "\x1b[23;0t" not in person.raw
    person.type("\x04")
    assert person.end() == 0
    assert person.raw.count("\x1b[23;0t") == 1


def test_no_title_and_a_bell_at_once_are_settings(talk):
    person = talk("--no-title", "--notify-after", "0", answers=["Yes."])
    assert BELL in person.ask("Well?")
    assert BELL not in person.ask("/show")
    assert "\x1b]2;" not in person.raw
