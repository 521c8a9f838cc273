"""Every way to end has its exit code and at most one line on standard error."""

import os
import shlex
import subprocess
import sys
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
        pytest.param(["run", "--top-p", "3", "-p", "a"], "--top-p", id="sampling option out of range"),
        pytest.param(["run", "--stop", "", "-p", "a"], "stop", id="empty stop text"),
        pytest.param(["run", "--system", "be nice", "-p", "a"], "--chat", id="system text without a chat"),
        pytest.param(["run"], "-p TEXT", id="no prompt"),
        pytest.param(["run", "-p", ""], "-p TEXT", id="empty prompt"),
        pytest.param(["run", "-f", "/nowhere/prompt"], "/nowhere/prompt: no such file", id="prompt file missing"),
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
    shown = llamachat("--help-all").stdout.decode()
    for code in ExitCode:
        assert f"{int(code):5}  {MEANINGS[code]}" in shown


def test_a_traceback_appears_only_with_debug(llamachat):
    assert b"Traceback" not in llamachat("run").stderr
    assert b"Traceback" in llamachat("run", "--debug").stderr
    assert b"Traceback" in llamachat("run", LLAMACHAT_DEBUG="1").stderr


def test_debug_after_two_dashes_is_an_argument(llamachat):
    assert llamachat("tokenize", "--ids", "--no-bos", "--", "--debug").stdout == b"45 45 100 101 98 117 103\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--chat", "-p", "a", "--system", b"caf\xe9"],
        ["run", "-p", "a", "--stop", b"caf\xe9"],
        ["run", "-p", "a", b"--stop=caf\xe9"],
        ["interactive", "-r", b"caf\xe9"],
        ["interactive", "--in-prefix", b"caf\xe9"],
    ],
    ids=["system", "stop", "stop with =", "reverse prompt", "prefix"],
)
def test_every_text_of_the_command_line_must_be_utf_8(llamachat, arguments):
    done = llamachat(*arguments)
    assert done.returncode == ExitCode.USAGE
    assert b"is not UTF-8 text (byte 0xe9" in done.stderr


def test_a_file_may_have_any_name(llamachat, tmp_path: Path):
    name = bytes(tmp_path) + b"/caf\xe9"
    with open(name, "w") as file:
        file.write("hello")
    assert llamachat("run", "-f", name).returncode == 0
    assert llamachat("run", b"--file=" + name).returncode == 0


def test_a_mistyped_option_is_told_the_nearest_one_and_nothing_else(llamachat):
    assert llamachat("run", "--tmep", "0").stderr == b"llamachat: no such option: --tmep; did you mean --temp?\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "abc"], b"--n-predict: give a whole number, -2 or more, not 'abc'"),
        (["--temp", "abc"], b"--temp: give a number from 0 to 1000, not 'abc'"),
        (["--temp", "-1"], b"--temp: give a number from 0 to 1000, not -1\n"),
        (["-t", "0"], b"--threads: give 1 or more, not 0\n"),
        (["-o", "jsno"], b"--output: give text, json or jsonl, not 'jsno'; did you mean json?"),
        (["--logprobs", "3"], b"--logprobs needs --output json or jsonl"),
        (["--color", "purple"], b"--color: give auto, always or never, not 'purple'"),
        (["-m"], b"-m needs a value behind it"),
    ],
)
def test_what_a_number_must_be_is_said_in_words(llamachat, arguments, said):
    done = llamachat("run", "-p", "x", *arguments)
    assert done.returncode == ExitCode.USAGE
    assert said in done.stderr
    assert b"not a valid" not in done.stderr


def test_the_version_on_a_full_disk_is_one_line(llamachat_to):
    code, said = llamachat_to("/dev/full", "--version")
    assert code == ExitCode.ERROR
    assert said.startswith("llamachat: ")
    assert said.endswith("No space left on device\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full 2>/dev/full", "2>&-"])
@pytest.mark.parametrize("arguments", ["--version", "models", "tokenize abc", "tokenize", "nonsense"])
def test_streams_that_are_closed_or_full_cause_no_traceback(environment, llamachat_command, redirection, arguments):
    command = f"{shlex.join(llamachat_command())} {arguments} {redirection}"
    done = subprocess.run(
        ["sh", "-c", command], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert done.returncode in (ExitCode.DONE, ExitCode.ERROR, ExitCode.USAGE)
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception ignored" not in done.stderr + done.stdout


def test_the_version_into_a_pipe_that_nobody_reads_ends_silently(environment, llamachat_command):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        llamachat_command("--version"), stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.BROKEN_PIPE, b"")


def test_ctrl_c_while_the_program_is_being_imported_ends_silently(environment, tmp_path: Path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    code = "import sys; sys.argv = ['llamachat', 'models']\nfrom llamachat.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, "PYTHONPATH": str(tmp_path)}, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPT, b"")


def test_tokens_that_the_output_s_encoding_lacks_are_shown_as_question_marks(llamachat):
    done = llamachat("tokenize", "--no-bos", "é", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert b"?" in done.stdout
