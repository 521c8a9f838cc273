"""The words that every command takes, which may be values of options, too; and arguments that are too many."""

import pytest
from tiny_gguf import tiny_gguf

from llamachat.cli.app import make_program, wants_traceback
from llamachat.cli.words import spelled_out


@pytest.fixture(scope="module")
def program():
    return make_program()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--color", "-p", "x"], ["--color=auto", "-p", "x"]),
        (["--color", "never"], ["--color", "never"]),
        (["--color"], ["--color=auto"]),
        (["--no-color"], ["--color=never"]),
        (["--", "--color", "--no-color", "--debug"], ["--", "--color", "--no-color", "--debug"]),
        (["-q", "--debug", "-p", "x"], ["-q", "-p", "x"]),
        (["-p", "--no-color", "--no-color"], ["-p", "--no-color", "--color=never"]),
        (["--stop", "--debug", "-p", "--color"], ["--stop", "--debug", "-p", "--color"]),
        (["--n_predict", "--debug"], ["--n_predict", "--debug"]),
        (["-qp", "--debug"], ["-qp", "--debug"]),
        (["-px", "--debug"], ["-px"]),
        (["-p", "--", "--debug"], ["-p", "--"]),
        (["--color", "never", "--debug"], ["--color", "never"]),
        ([], []),
    ],
)
def test_what_an_option_takes_is_left_as_it_is_typed(program, words, meant):
    assert list(spelled_out(words, program.commands["run"])) == meant


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--color", "models", "--color"], ["--color=auto", "models", "--color"]),
        (["--profile", "--debug", "--debug", "run", "--debug"], ["--profile", "--debug", "run", "--debug"]),
    ],
)
def test_words_behind_a_command_s_name_are_the_command_s(program, words, meant):
    assert list(spelled_out(words, program)) == meant


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--debug", "run", "-p", "x"], True),
        (["run", "-p", "x", "--debug"], True),
        (["run", "-p", "--debug"], False),
        (["run", "--", "--debug"], False),
        (["--debug"], True),
        (["--debug", "rnu"], True),
    ],
)
def test_a_traceback_is_wanted_where_debug_is_no_value(words, wanted):
    assert wants_traceback(words) == wanted


@pytest.mark.parametrize("value", ["--no-color", "--debug", "--color"])
def test_a_prompt_may_look_like_an_option(llamachat, value):
    assert llamachat("run", "--echo", "-p", value).stdout == f"{value}An answer.\n".encode()


def test_no_traceback_is_shown_for_a_value(llamachat):
    done = llamachat("run", "-p", "--debug", "--stop", "")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


@pytest.mark.parametrize("command", ["chat", "run", "interactive"])
def test_a_model_without_its_option_is_told_where_it_belongs(llamachat, tmp_path, command):
    path = tiny_gguf(tmp_path / "tiny.gguf")
    for argument in ("tiny", str(path)):
        done = llamachat(command, argument, LLAMACHAT_MODELS=str(tmp_path))
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert f"-m {argument}" in done.stderr.decode()


def test_any_other_argument_too_many_is_named(llamachat, tmp_path):
    assert b"unexpected argument nothing (" in llamachat("doctor", "nothing").stderr
    tiny_gguf(tmp_path / "tiny.gguf")
    assert b"-m" not in llamachat("models", "tiny", LLAMACHAT_MODELS=str(tmp_path)).stderr
