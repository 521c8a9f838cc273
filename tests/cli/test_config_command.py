"""`llamachat config`: what is set, where it comes from, and the file."""

import json
import stat
import tomllib
from pathlib import Path

import pexpect
import pytest

from llamachat.cli.app import run_app
from llamachat.errors import LlamaChatError, UsageError


@pytest.fixture
def path(own_home) -> Path:
    """The configuration file of the test's own home."""
    found = own_home / "config" / "llamachat" / "config.toml"
    found.parent.mkdir(parents=True)
    return found


def records(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict]:
    run_app(["config", "show", "--output", "json", *words])
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)}


def test_the_path_is_in_the_platforms_folder_and_there_need_be_no_file(own_home, capsys):
    run_app(["config", "path"])
    assert capsys.readouterr().out == f"{own_home}/config/llamachat/config.toml\n"


def test_the_path_may_be_chosen(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LLAMACHAT_CONFIG", str(tmp_path / "other.toml"))
    run_app(["config", "path"])
    assert capsys.readouterr().out == f"{tmp_path}/other.toml\n"


def test_each_setting_is_shown_with_its_origin(path, monkeypatch, capsys):
    path.write_text("temp = 0.7\ntop_k = 9\n[profile.code]\ntop_k = 5\n")
    monkeypatch.setenv("LLAMACHAT_CTX_SIZE", "512")
    found = records(capsys, "--profile", "code")
    assert found["temp"] == {"v": 1, "name": "temp", "value": 0.7, "origin": "config", "place": f"{path}, line 1"}
    assert found["top_k"] == {"v": 1, "name": "top_k", "value": 5, "origin": "profile", "place": f"{path}, line 4"}
    assert (found["ctx_size"]["origin"], found["ctx_size"]["place"]) == ("environment", "LLAMACHAT_CTX_SIZE")
    assert found["min_p"] == {"v": 1, "name": "min_p", "value": 0.05, "origin": "default", "place": None}
    assert (found["model"]["value"], found["context_shift"]["value"]) == (None, True)


def test_what_is_shown_to_a_person_says_where_it_comes_from_only_when_asked(path, capsys):
    path.write_text("temp = 0.7\n")
    run_app(["config", "show", "--origin"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  # ") for line in lines if line.startswith("temp")] == [
        [f"{'temp = 0.7':32}", f"{path}, line 1"]
    ]
    assert any(line.startswith("# top_k = 40 ") and line.endswith("# built in") for line in lines)
    run_app(["config"])
    assert "temp = 0.7\n" in capsys.readouterr().out


def test_what_is_shown_is_a_file_that_sets_the_same(path, capsys):
    path.write_text('temp = 0.7\nstop = ["a \\"b\\"", "\\u001b[31m\\n"]\nsystem = "é\\\\"\ncontext_shift = false\n')
    run_app(["config", "show"])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert tomllib.loads(shown) == tomllib.loads(path.read_text())


@pytest.mark.parametrize(
    "text",
    ["temp = 'x'", "top_p = 2", "draft_min = 20", 'cache_type_k = "q9"', "repetitions = 0", 'samplers = "nonsense"'],
)
def test_what_is_wrong_for_any_command_is_refused_when_shown(path, text):
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        run_app(["config", "show"])
    assert f"{path}, line 1: " in str(error.value)


def test_showing_runs_no_command(path, monkeypatch, capsys):
    from llamachat.cli import loading

    monkeypatch.setattr(loading, "model_path", lambda choice: pytest.fail("a command was run"))
    run_app(["config", "show"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["temp = ", "tmep = 1", "[profile]\nx = 1"])
def test_path_completion_and_doctors_help_work_with_a_broken_file(path, text, capsys):
    path.write_text(text)
    run_app(["config", "path"])
    run_app(["completion", "bash"])
    run_app(["doctor", "--help"])
    assert str(path) in capsys.readouterr().out


def test_editing_without_a_terminal_is_refused(llamachat):
    done = llamachat("config", "edit")
    assert done.returncode == 2
    assert b"needs a terminal" in done.stderr


def edit(terminal, environment, tmp_path: Path, script: str) -> pexpect.spawn:
    editor = tmp_path / "an editor"
    editor.write_text(f"#!/bin/sh\n{script}\n")
    editor.chmod(0o700)
    environment["VISUAL"] = f"'{editor}' --wait"
    child = terminal("config", "edit")
    child.expect(pexpect.EOF)
    child.close()
    return child


def test_a_new_file_is_private_and_has_every_setting_as_a_comment(terminal, environment, tmp_path, own_home):
    child = edit(terminal, environment, tmp_path, 'echo "opened $1 $2"')
    path = own_home / "config" / "llamachat" / "config.toml"
    assert child.exitstatus == 0
    assert f"opened --wait {path}" in child.before
    assert "0 settings, nothing wrong" in " ".join(child.before.split())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert tomllib.loads(path.read_text()) == {}
    assert "# temp = 0.8\n" in path.read_text()


def test_what_was_edited_is_checked_and_kept(terminal, environment, tmp_path, path):
    path.write_text("temp = 0.5\n")
    child = edit(terminal, environment, tmp_path, 'echo "tmep = 1" >> "$2"')
    assert child.exitstatus == 2
    assert "line 2: no setting is called tmep; did you mean temp?" in child.before
    assert path.read_text() == "temp = 0.5\ntmep = 1\n"


def test_a_broken_file_can_be_repaired(terminal, environment, tmp_path, path):
    path.write_text("temp = \n")
    child = edit(terminal, environment, tmp_path, 'echo "temp = 1" > "$2"')
    assert (child.exitstatus, "1 settings, nothing wrong" in " ".join(child.before.split())) == (0, True)


@pytest.mark.parametrize(
    ("editor", "said"), [("/nowhere/ed", "cannot be started"), ("false", "ended with 1"), ("'", "cannot be started")]
)
def test_an_editor_that_fails_is_named(terminal, environment, path, editor, said):
    environment |= {"VISUAL": editor}
    child = terminal("config", "edit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert said in child.before


def test_a_folder_that_cannot_be_made_is_named(terminal, environment, own_home):
    (own_home / "config").write_text("a file")
    child = terminal("config", "edit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert "cannot be written" in child.before


def test_a_file_that_cannot_be_read_is_an_error_of_its_own(path):
    path.mkdir()
    with pytest.raises(LlamaChatError, match=r"config\.toml: is a directory"):
        run_app(["models"])
