"""--color, of every command, and what it is in the classic mode."""

import pytest
from tiny_gguf import tiny_gguf

DIM = b"\x1b[2m"


@pytest.fixture
def some_model(tmp_path, environment):
    environment["LLAMACHAT_MODELS"] = str(tmp_path)
    return tiny_gguf(tmp_path / "tiny.gguf")


@pytest.mark.parametrize(
    ("words", "coloured"),
    [
        (("models",), False),
        (("models", "--color", "always"), True),
        (("--color=always", "models"), True),
        (("models", "--color=never"), False),
        (("models", "--no-color"), False),
        (("models", "--color"), False),
    ],
)
def test_a_pipe_is_coloured_only_where_that_was_asked_for(llamachat, some_model, words, coloured):
    done = llamachat(*words)
    assert done.returncode == 0
    assert b"tiny" in done.stdout
    assert (DIM in done.stdout) == coloured


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({"CLICOLOR_FORCE": "1"}, True), ({"LLAMACHAT_COLOR": "always"}, True), ({"NO_COLOR": "1"}, False)],
)
def test_the_environment_decides_for_every_command(llamachat, some_model, variables, coloured):
    assert (DIM in llamachat("models", **variables).stdout) == coloured


def test_the_command_line_beats_no_color(llamachat, some_model):
    assert DIM in llamachat("models", "--color", "always", NO_COLOR="1").stdout


def test_a_colour_that_is_none_of_the_three_is_refused(llamachat):
    done = llamachat("models", "--color=blue")
    assert done.returncode == 2
    assert b"--color: give auto, always or never, not 'blue'" in done.stderr


@pytest.mark.parametrize(
    ("words", "coloured"),
    [((), False), (("--color",), True), (("--color", "always"), True), (("--color", "never"), False)],
)
def test_the_classic_mode_is_coloured_where_that_was_asked_for(terminal, words, coloured):
    child = terminal("interactive", "-p", "Hello", "-r", "answer", *words)
    child.expect("answer")
    shown = child.before
    assert ("\x1b[3" in shown) == coloured, repr(shown)


@pytest.mark.parametrize(("setting", "coloured"), [("auto", False), ("never", False), ("always", True)])
def test_the_classic_mode_is_coloured_by_a_setting_only_where_that_says_always(
    terminal, environment, setting, coloured
):
    environment["LLAMACHAT_COLOR"] = setting
    child = terminal("interactive", "-p", "Hello", "-r", "answer")
    child.expect("answer")
    assert ("\x1b[3" in child.before) == coloured
