"""Conventions of terminal programs that are about files: where they lie, who may read them, what destroys them.

Each row of terminal-chat-peers.md, section 3, has a test of its number here or in test_conventions.py.
"""

import json
import subprocess
from pathlib import Path

import pytest

from llamachat.errors import ExitCode
from llamachat.session.chats import ChatStore
from llamachat.session.places import database_path

EDITING = r"\x1b\[\?2004h"
"""The line editor is there."""


@pytest.fixture
def left_behind(own_home, terminal) -> list[Path]:
    """The files that a chat of one question leaves at home."""
    child = terminal("chat")
    child.expect(EDITING)
    child.send("hello\r")
    child.expect_exact("An answer.")
    child.expect(EDITING)
    child.sendeof()
    child.wait()
    return [path for path in own_home.rglob("*") if path.is_file()]


def test_row_18_files_lie_where_the_system_wants_them(left_behind, own_home):
    assert left_behind
    assert {path.relative_to(own_home).parts[:2] for path in left_behind} <= {
        (kind, "llamachat") for kind in ("config", "data", "state")
    }


def test_row_19_what_was_typed_is_private(left_behind):
    assert left_behind
    assert [path for path in left_behind if path.stat().st_mode & 0o077] == []


def test_row_27_what_destroys_refuses_without_a_terminal_and_without_consent(llamachat):
    with ChatStore(database_path()) as store:
        store.create("tiny", "taxes")
    done = llamachat("sessions", "delete", "taxes")
    assert done.returncode == ExitCode.USAGE
    assert b"--yes" in done.stderr
    assert b"taxes" in llamachat("sessions").stdout


def test_row_27_consent_cannot_be_set_once_and_for_all(llamachat):
    done = llamachat("sessions", LLAMACHAT_YES="1")
    assert done.returncode == ExitCode.USAGE
    assert b"LLAMACHAT_YES" in done.stderr


def test_row_31_two_at_once_keep_both_chats(environment, llamachat, llamachat_command):
    environment["SCRIPTED_ANSWERS"] = json.dumps(["Said."])
    at_once = [
        subprocess.Popen(
            llamachat_command("chat", "--session", name, "Hi"),
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    assert [process.communicate(timeout=60)[0] for process in at_once] == [b"Said.\n"] * 2
    listed = llamachat("sessions").stdout
    assert b"one" in listed
    assert b"two" in listed
