"""docs/chat.md says what a chat does: it is what its tool makes, and its examples can be typed."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tools"), str(ROOT / "tests" / "terminal"), str(ROOT / "tests" / "cli")]

from make_chat_docs import TARGET, manual  # noqa: E402
from scripted_chat import made  # noqa: E402
from typing_at import CTRL_C, CTRL_D, ENTER, ESC, driver  # noqa: E402

from llamachat.terminal.commands import COMMANDS, run_command  # noqa: E402
from llamachat.terminal.commands import branches as branches_module  # noqa: E402
from llamachat.terminal.commands.guide import EXAMPLES  # noqa: E402
from llamachat.terminal.commands.settings import SETTINGS  # noqa: E402
from llamachat.terminal.input.keytable import KEYS, TYPING  # noqa: E402

TEXT = TARGET.read_text("utf-8")
ANSWER = "One.\n\n```\na\n```\n\n```\nb\n```\n"
NAMES = {
    "Enter": ENTER, "Alt+Enter": "\x1b\r", "Tab": "\t", "Up": "\x1b[A", "Right": "\x1b[C", "Esc": ESC, "Ctrl+C": CTRL_C,
    "Ctrl+D": CTRL_D, "Ctrl+R": "\x12", "Ctrl+X": "\x18", "Ctrl+E": "\x05", "Ctrl+A": "\x01", "Ctrl+W": "\x17",
    "Ctrl+U": "\x15", "Ctrl+Y": "\x19", "Ctrl+L": "\x0c", "Ctrl+O": "\x0f",
}  # fmt: skip


def test_the_manual_is_up_to_date():
    assert manual() == TEXT, "run python tools/make_chat_docs.py"
    assert [line for line in TEXT.splitlines() if len(line) > 120] == []


def test_the_manual_has_every_command_and_setting():
    assert {command.name for command in COMMANDS} <= set(re.findall(r"^- `(/\S+?)[ `]", TEXT, re.MULTILINE))
    assert SETTINGS.keys() <= set(re.findall(r"^- `(\w+)`", TEXT, re.MULTILINE))


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_the_example_of_a_command_can_be_typed(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("A note.")
    chat = made(ANSWER, "<think>Hm.</think>" + ANSWER, "Three.", "Four.", "Five.")
    chat.conversation.template = type(chat.conversation.template)(
        chat.conversation.template.source + "{# <think></think> #}"
    )
    chat.ask("pancakes")
    if name != "/save":
        run_command("/save recipes", chat)
    if name == "/load":
        run_command("/new", chat)
    chat.ask("And?")
    if name == "/switch":
        run_command("/regen", chat)
    if name == "/continue":
        path = chat.conversation.path()
        chat.conversation.store.update(path[-1].id, path[-1].content, "interrupted")
    chat.editor = lambda text: f"{text}!"
    chat.open_model = lambda _name: made("Another.").responder.in_chats()
    if hasattr(branches_module, "page"):
        monkeypatch.setattr(branches_module, "page", lambda *_: None)
    monkeypatch.setenv("PAGER", "cat")
    capsys.readouterr()
    goes_on = run_command(EXAMPLES[name].line, chat)
    assert goes_on is (name not in ("/quit", "/exit", "/bye"))


KEY_EFFECTS = {
    "Enter": "hello",
    "Alt+Enter, Shift+Enter, Ctrl+J": "first line\nsecond line",
    "\\ Enter": "first line \nsecond line",
    '"""': "a list",
    "Ctrl+R": "a needle here",
    "Up, Down": "why not",
    "Right": "what is it?",
    "Ctrl+X Ctrl+E": "a draft, edited",
    "Ctrl+A, Ctrl+E": "hello",
    "Ctrl+W, Ctrl+U, Ctrl+K": "two ",
    "Ctrl+Y, Ctrl+_": "put back",
}
SHOWN_ONLY = {"Tab", "Esc", "Ctrl+L", "Ctrl+C", "Ctrl+D", "Ctrl+Z", "Ctrl+O"}
"""Keys whose effect is no message; test_input_line.py has them."""


def test_the_examples_of_keys_do_what_is_said(tmp_path):
    assert {one.keys for one in KEYS[TYPING]} == KEY_EFFECTS.keys() | SHOWN_ONLY
    (tmp_path / "history.jsonl").write_text('"a needle here"\n"what is it?"\n"why not"\n')
    (tmp_path / "editor").write_text('#!/bin/sh\nprintf ", edited" >> "$1"\n')
    (tmp_path / "editor").chmod(0o755)
    person = driver(tmp_path, VISUAL=str(tmp_path / "editor"))
    try:
        person.until(">")
        person.settle()
        for one in KEYS[TYPING]:
            if one.keys in SHOWN_ONLY:
                continue
            if one.keys.startswith("Ctrl+Y"):
                person.press("put back")
            before = len(person.got)
            for typed, key in re.findall(r"`([^`]*)`|([A-Z][\w+]*)", one.example):
                person.press(typed or NAMES[key])
            person.settle()
            if len(person.got) == before:
                if "Ctrl+R" in one.keys:
                    person.press(ENTER)
                person.type(ENTER)
                person.until(lambda _lines, before=before: len(person.got) > before)
                person.settle()
            assert person.got[-1] == KEY_EFFECTS[one.keys], one.keys
    finally:
        person.dismiss()
