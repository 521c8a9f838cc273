"""Every way to end has its exit code and at most one line on standard error."""

from pathlib import Path

import pytest

from llamachat.cli.app import MEANINGS
from llamachat.errors import ExitCode


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["rnu"], "did you mean 'run'", id="unknown command"),
        pytest.param(["run", "--promt", "x"], "--prompt", id="unknown option"),
        pytest.param(["--bad"], "--bad", id="unknown option of the program"),
        pytest.param(["run", "-p"], "-p", id="option without its value"),
        pytest.param(["run", "extra", "-p", "x"], "extra", id="argument too many"),
        pytest.param(["run", "-n", "x", "-p", "a"], "--n-predict", id="no number"),
        pytest.param(["run", "-n", "-3", "-p", "a"], "--n-predict", id="number out of range"),
        pytest.param(["run", "-c", "0", "-p", "a"], "--ctx-size", id="context of nothing"),
        pytest.param(["run", "-t", "0", "-p", "a"], "--threads", id="no thread"),
        pytest.param(["run", "--top-p", "3", "-p", "a"], "top_p", id="sampling option out of range"),
        pytest.param(["run", "--stop", "", "-p", "a"], "stop", id="empty stop text"),
        pytest.param(["run", "--system", "be nice", "-p", "a"], "--chat", id="system text without a chat"),
        pytest.param(["run"], "-p TEXT", id="no prompt"),
        pytest.param(["run", "-p", ""], "-p TEXT", id="empty prompt"),
        pytest.param(["run", "-f", "/nowhere/prompt"], "/nowhere/prompt: No such file", id="prompt file missing"),
        pytest.param(["run", "-f", "/"], "-f /", id="prompt file is a folder"),
        pytest.param(["run", "-p", b"caf\xe9"], "0xe9", id="argument that is not UTF-8"),
        pytest.param(["chat"], "standard input is empty", id="nothing to answer"),
        pytest.param(["interactive", "-r", ""], "--reverse-prompt", id="empty reverse prompt"),
        pytest.param(["interactive", "-f", "-"], "standard input", id="standard input is taken"),
        pytest.param(["tokenize"], "-p TEXT", id="nothing to tokenize"),
        pytest.param(["perplexity", "-p", "a", "--output", "xml"], "json", id="unknown format"),
        pytest.param(["bench", "-r", "0"], "--repetitions", id="nothing to measure"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line(llamachat, arguments, said):
    done = llamachat(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("llamachat: ")
    assert said.lower() in done.stderr.decode().lower()
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"a\xffb", "0xff at offset 1", id="not UTF-8"),
        pytest.param(b"GGUF\0\0", "binary", id="binary"),
    ],
)
def test_input_that_is_no_text_is_refused(llamachat, tmp_path: Path, content, said):
    (tmp_path / "input").write_bytes(content)
    for done in (llamachat("run", stdin=content), llamachat("run", "-f", str(tmp_path / "input"))):
        assert done.returncode == ExitCode.USAGE
        assert said in done.stderr.decode()


def test_a_prompt_longer_than_the_context_exits_with_4(llamachat):
    done = llamachat("run", "-p", "x" * 100, "-c", "50")
    assert (done.returncode, done.stdout) == (ExitCode.CONTEXT, b"")
    assert b"50" in done.stderr


def test_an_answer_cut_short_exits_with_5_if_that_was_asked_for(llamachat):
    assert llamachat("run", "-p", "hello", "-n", "3").returncode == 0
    done = llamachat("run", "-p", "hello", "-n", "3", "--fail-on-length")
    assert (done.returncode, done.stdout) == (ExitCode.LENGTH, b"An \n")


def test_a_full_disk_is_one_line(llamachat_to):
    code, said = llamachat_to("/dev/full", "run", "-p", "hello")
    assert code == ExitCode.ERROR
    assert said == "llamachat: No space left on device\n"


def test_help_lists_every_exit_code(llamachat):
    shown = llamachat("--help").stdout.decode()
    for code in ExitCode:
        assert f"{int(code):5}  {MEANINGS[code]}" in shown


def test_a_traceback_appears_only_with_debug(llamachat):
    assert b"Traceback" not in llamachat("run").stderr
    assert b"Traceback" in llamachat("run", "--debug").stderr
    assert b"Traceback" in llamachat("run", LLAMACHAT_DEBUG="1").stderr


def test_debug_after_two_dashes_is_an_argument(llamachat):
    assert llamachat("tokenize", "--ids", "--no-bos", "--", "--debug").stdout == b"45 45 100 101 98 117 103\n"
