"""A prompt and a first message without an option: `run PROMPT`, `chat MESSAGE`, `-`, and what could be mistaken."""

import re
import shlex

import pexpect
import pytest
from tiny_gguf import tiny_gguf

EDITING = r"\x1b\[\?2004h"


def test_run_continues_the_prompt(llamachat):
    assert llamachat("run", "--echo", "Once upon").stdout == b"Once uponAn answer.\n"


@pytest.mark.parametrize(
    ("words", "piped", "prompt"),
    [
        (["-"], b"from a pipe", b"from a pipe"),
        (["first"], b"second", b"first\n\nsecond"),
        (["In {input}, yes"], b"Rome", b"In Rome, yes"),
        (["-", "-f", "-"], b"once", b"once"),
        (["a\\nb"], b"", b"a\nb"),
        (["--", "--mlock"], b"", b"--mlock"),
    ],
)
def test_run_joins_it_with_standard_input_as_p(llamachat, words, piped, prompt):
    assert llamachat("run", "--echo", *words, stdin=piped).stdout == prompt + b"An answer.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "-p", "a", "b"], "the prompt is given twice"),
        (["run", ""], "the prompt is empty"),
        (["chat", ""], "the message is empty"),
        (["run", "two", "words"], "unexpected argument words: put a text of several words in quotes"),
        (["run", "-p", "a", "-p", "b"], "-p is given twice"),
        (["run", "-m", "a", "--model", "b", "x"], "--model is given twice (as -m, too)"),
        (["chat", "--session", "a", "--session=b", "x"], "--session is given twice"),
    ],
)
def test_what_would_be_lost_is_refused(llamachat, words, said):
    done = llamachat(*words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()


def test_of_numbers_the_last_one_counts(llamachat):
    done = llamachat("run", "-n", "2", "--temp", "0", "--temperature", "0", "-n", "4", "x")
    assert (done.returncode, done.stdout) == (0, b"An a\n")


@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_model_in_the_place_of_a_text_is_told_where_it_belongs(llamachat, tmp_path, command):
    path = str(tiny_gguf(tmp_path / "tiny.gguf"))
    for word in ("tiny", path, "gemma3", "hf:owner/name"):
        done = llamachat(command, word, LLAMACHAT_MODELS=str(tmp_path))
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert f"-m {word}" in done.stderr.decode()
    two = llamachat(command, "tiny", "Hello there", LLAMACHAT_MODELS=str(tmp_path))
    assert b"a model is given as -m tiny" in two.stderr


def test_chat_answers_a_message_without_a_terminal(llamachat):
    assert llamachat("chat", "Name a fruit.").stdout == b"An answer.\n"
    told = llamachat("chat", "--session", "s", "Look at", stdin=b"this")
    assert told.stdout == b"An answer.\n"
    assert b"Look at\n\nthis" in llamachat("sessions", "show", "s").stdout


def test_a_file_goes_before_the_first_message(llamachat, tmp_path):
    (tmp_path / "notes.txt").write_text("plums\n")
    llamachat("chat", "--session", "s", "-f", str(tmp_path / "notes.txt"), "What is it?")
    shown = llamachat("sessions", "show", "s").stdout
    assert b"File notes.txt:\n```\nplums\n```\n\nWhat is it?" in shown


def test_each_line_is_a_turn_on_request(llamachat):
    done = llamachat(
        "chat", "--session", "s", "--turns", "lines", "one", stdin=b"two\n\n  \nthree", answers=("A.", "B.", "C.")
    )
    assert (done.returncode, done.stdout) == (0, b"A.\nB.\nC.\n")
    said = re.findall(rb"^user:\n(\w+)", llamachat("sessions", "show", "s").stdout, re.MULTILINE)
    assert said == [b"one", b"two", b"three"]


def test_a_first_message_begins_a_chat_that_goes_on(terminal):
    child = terminal("chat", "Name a fruit.", answers=("A plum.", "A pear."))
    child.expect_exact("> Name a fruit.")
    child.expect_exact("A plum.")
    child.expect(EDITING)
    child.send("Another\r")
    child.expect_exact("A pear.")
    child.expect(EDITING)
    child.sendeof()
    child.wait()


@pytest.fixture
def in_bash(environment, llamachat_command):
    """Starts a line of bash on a terminal; {} in it is the program."""
    started: list[pexpect.spawn] = []

    def start(line: str) -> pexpect.spawn:
        own = {**environment, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
        line = line.replace("{}", shlex.join(llamachat_command()))
        started.append(pexpect.spawn("bash", ["-c", line], env=own, encoding="utf-8", timeout=60))
        return started[-1]

    yield start
    for child in started:
        child.close(force=True)


def test_a_chat_into_a_file_says_what_it_does(in_bash, tmp_path):
    child = in_bash(f"{{}} chat > {tmp_path}/out.txt")
    child.expect_exact("end it with Ctrl+D")
    child.sendline("Hi")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.wait()
    assert (child.exitstatus, (tmp_path / "out.txt").read_text()) == (0, "An answer.\n")


def test_a_known_message_into_a_file_waits_for_nobody(in_bash, tmp_path):
    child = in_bash(f"{{}} chat 'Hi' > {tmp_path}/out.txt")
    child.expect(pexpect.EOF)
    assert "Ctrl+D" not in child.before
    assert (tmp_path / "out.txt").read_text() == "An answer.\n"


def test_a_pipe_begins_a_chat_that_goes_on_at_the_terminal(in_bash):
    child = in_bash("echo 'from the pipe' | {} chat")
    child.expect_exact("> from the pipe")
    child.expect_exact("An answer.")
    child.expect(EDITING)
    child.send("typed\r")
    child.expect_exact("An answer.")
    child.expect(EDITING)
    child.sendeof()
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0


def test_no_input_never_asks(llamachat, terminal):
    for words in (("chat", "--no-input"), ("--no-input", "chat"), ("--no-input", "interactive")):
        child = terminal(*words)
        child.expect("--no-input")
        child.wait()
        assert child.exitstatus == 2, words
    child = terminal("chat", "--no-input", "Hi")
    child.expect_exact("An answer.")
    child.wait()
    assert child.exitstatus == 0
    assert llamachat("chat", "--no-input", stdin=b"Hi").stdout == b"An answer.\n"
