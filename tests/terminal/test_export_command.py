"""/export: where it writes, in which format, and that it overwrites nothing unasked."""

import json

import pytest
from scripted_chat import made

from llamachat.errors import UsageError
from llamachat.terminal.commands import keeping, run_command


@pytest.fixture
def chat():
    chat = made("An answer.")
    chat.ask("A question")
    return chat


def test_a_file_is_not_overwritten_where_nobody_can_be_asked(chat, tmp_path):
    path = tmp_path / "chat.md"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        run_command(f"/export {path}", chat)
    assert path.read_text() == "precious"
    run_command(f"/export {path} --yes", chat)
    assert "A question" in path.read_text()
    run_command(f"/export {path} json --force", chat)
    assert json.loads(path.read_text())["messages"][0]["content"] == "A question"


@pytest.mark.parametrize(("agrees", "content"), [(True, "# A question"), (False, "precious")])
def test_a_person_is_asked(chat, tmp_path, monkeypatch, agrees, content):
    asked = []
    monkeypatch.setattr(keeping, "may_ask", lambda: True)
    monkeypatch.setattr(keeping, "agreed", lambda question: asked.append(question) or agrees)
    path = tmp_path / "chat.md"
    path.write_text("precious")
    run_command(f"/export {path}", chat)
    assert path.read_text().startswith(content)
    assert asked == [f"{path} exists already. Overwrite it?"]


def test_endings_count_in_any_case_and_formats_too(chat, tmp_path):
    run_command(f"/export {tmp_path}/CHAT.JSON", chat)
    run_command(f"/export {tmp_path}/notes.txt HTML", chat)
    assert json.loads((tmp_path / "CHAT.JSON").read_text())["messages"]
    assert (tmp_path / "notes.txt").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["notes.pdf", "notes", "notes.md.bak"])
def test_an_ending_that_says_no_format_is_refused(chat, tmp_path, name):
    with pytest.raises(UsageError, match="this file extension names no format"):
        run_command(f"/export {tmp_path}/{name}", chat)
    assert not (tmp_path / name).exists()


def test_a_dash_shows_the_chat(chat, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_command("/export -", chat)
    assert "## user\n\nA question" in capsys.readouterr().out
    run_command("/export - jsonl", chat)
    assert json.loads(capsys.readouterr().out)["messages"][1]["content"] == "An answer."
    assert list(tmp_path.iterdir()) == []
