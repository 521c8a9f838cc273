"""Addresses in answers: whole, links where the terminal has them, harmless everywhere."""

import re

import pytest
from screens import DRAWINGS, Terminal

from llamachat.engine.events import Event
from llamachat.terminal.links import addresses_in, knows_links, link_to
from llamachat.terminal.view import MarkdownView

LONG = "https://example.com/" + "/".join(f"part{n}" for n in range(30)) + "?a=1&b=2"
LINK = re.compile(r"\x1b\]8;(?:id=[0-9a-f]+)?;([^\x07\x1b]*)\x1b\\")
TOLD = ("TERM_PROGRAM", "TMUX", "STY", "WT_SESSION", "KITTY_WINDOW_ID", "VTE_VERSION", "KONSOLE_VERSION")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    for name in (*TOLD, "FORCE_HYPERLINK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("there", "knows"),
    [
        ({}, False),
        ({"TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"VTE_VERSION": "7600"}, True),
        ({"VTE_VERSION": "4200"}, False),
        ({"VTE_VERSION": "x"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "foot-extra"}, True),
        ({"TERM": "dumb", "VTE_VERSION": "7600"}, False),
        ({"VTE_VERSION": "7600", "TMUX": "/tmp/x"}, False),
        ({"WT_SESSION": "a", "STY": "b"}, False),
        ({"FORCE_HYPERLINK": "1"}, True),
        ({"FORCE_HYPERLINK": "0", "VTE_VERSION": "7600"}, False),
    ],
)
def test_only_terminals_that_are_known_for_it_get_links(monkeypatch, there, knows):
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    assert knows_links() is knows


def drawn(text, columns=40, pieces=7):
    terminal = Terminal(columns, 200)
    view = MarkdownView(terminal.screen)
    for at in range(0, len(text), pieces):
        view.event(Event(text[at : at + pieces]))
    view.close()
    return terminal


@pytest.mark.parametrize(
    "text", [f"See {LONG}, please.", f"See [here]({LONG}).", f"- <{LONG}>", f"| a |\n|---|\n| {LONG} |\n"]
)
@pytest.mark.parametrize("columns", [20, 60])
def test_a_long_address_stays_in_one_piece(text, columns):
    raw = drawn(text, columns, 10_000).raw
    assert LONG in re.sub(r"\x1b\[[0-9;]*m", "", raw)
    lines = drawn(text, columns).lines
    assert "".join("".join(lines).split()).count(LONG) == 1
    assert "" not in lines


def test_links_lead_where_they_say(monkeypatch):
    monkeypatch.setenv("FORCE_HYPERLINK", "1")
    raw = drawn("See [here](https://e.com/a), https://e.com/b_c. [mail](mailto:a@b.c)\n", 200, 1000).raw
    assert set(LINK.findall(raw)) == {"https://e.com/a", "https://e.com/b_c", "mailto:a@b.c", ""}
    assert "here (https://e.com/a)" in re.sub(DRAWINGS, "", LINK.sub("", raw))
    assert raw.count("\x1b]8;;\x1b\\") == len(LINK.findall(raw)) / 2


def test_every_row_of_a_link_has_it_to_itself(monkeypatch):
    monkeypatch.setenv("FORCE_HYPERLINK", "1")
    raw = drawn(f"See {LONG}", 20, 1).raw
    for row in raw.split("\n"):
        opened = False
        for address in LINK.findall(row):
            assert bool(address) is not opened
            opened = bool(address)
        assert not opened


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://e.com/ü?q=a b", "https://e.com/%C3%BC?q=a%20b"),
        ("https://e.com/\x1b]8;;\x07", "https://e.com/%1B]8;;%07"),
        ("HTTP://E.COM", "HTTP://E.COM"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("https://e.com/" + "a" * 3000, ""),
        ("x", ""),
    ],
)
def test_an_address_is_a_web_page_in_printable_characters_or_no_link(monkeypatch, address, safe):
    monkeypatch.setenv("FORCE_HYPERLINK", "1")
    assert link_to(address) == safe


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://e.com/a.", ["https://e.com/a"]),
        ("(https://e.com/a)", ["https://e.com/a"]),
        ("https://e.com/a_(b)", ["https://e.com/a_(b)"]),
        ("参照 https://e.com/a。次", ["https://e.com/a"]),
        ("http://a.b, http://c.d!", ["http://a.b", "http://c.d"]),
        ("ftp://x", []),
    ],
)
def test_the_marks_of_a_sentence_are_not_of_the_address(text, found):
    assert [text[begun:end] for begun, end in addresses_in(text)] == found


EVIL = [
    "https://e.com/\x1b]8;;http://x\x07",
    "<https://e.com/%1b]52;c;x%07>",
    "[a](https://e.com/\x9b31m)",
    "[a](<https://e&#27;[2J>)",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_link_carries_control_bytes(monkeypatch, evil):
    monkeypatch.setenv("FORCE_HYPERLINK", "1")
    rest = re.sub(DRAWINGS, "", LINK.sub("", drawn(evil, 60).raw))
    assert not re.search("[\x00-\x1f\x7f-\x9f]", rest)
