"""The person's editor: what was written in it is never lost."""

import re
from pathlib import Path

import pytest

from llamachat.errors import LlamaChatError
from llamachat.terminal import editor
from llamachat.terminal.editor import edited


@pytest.fixture
def use(tmp_path, monkeypatch):
    """Makes an editor of a shell script; what it keeps is in a folder of the test's own."""
    monkeypatch.setattr(editor.tempfile, "tempdir", str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()
    monkeypatch.delenv("VISUAL", raising=False)

    def made(script):
        path = tmp_path / "editor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("EDITOR", str(path))

    return made


def left(tmp_path):
    return list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize(
    ("script", "text"), [("echo more >> $1", "first\nmore\n"), ("true", None), ("echo >> $1", None)]
)
def test_what_comes_out(use, tmp_path, script, text):
    use(script)
    assert edited("first\n") == text
    assert left(tmp_path) == []


def test_an_editor_that_fails_leaves_what_was_written_in_its_file(use, tmp_path):
    use("echo more >> $1; exit 3")
    with pytest.raises(LlamaChatError, match=r"ended with 3; nothing.* what you wrote is in") as said:
        edited("first\n")
    assert Path(re.search(r"is in (.*)", str(said.value))[1]).read_text() == "first\nmore\n"


@pytest.mark.parametrize("script", ["exit 3", "rm $1", "rm -r $(dirname $1)"])
def test_an_editor_that_fails_and_wrote_nothing_leaves_nothing(use, tmp_path, script):
    use(script)
    with pytest.raises(LlamaChatError, match=r"nothing was changed$"):
        edited("first\n")
    assert left(tmp_path) == []


def test_a_signal_leaves_what_was_written_in_its_file(use, tmp_path, monkeypatch, capsys):
    use("true")

    def ended(words, check):
        Path(words[-1]).write_text("written")
        raise SystemExit(143)

    monkeypatch.setattr(editor.subprocess, "run", ended)
    with pytest.raises(SystemExit):
        edited("first\n")
    path = re.search(r"is in (.*)", capsys.readouterr().err)[1]
    assert Path(path).read_text() == "written"
