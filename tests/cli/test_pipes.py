"""Standard output carries the answer and nothing else, whatever stands at its other end."""

import os
import signal
import subprocess

import pytest

from llamachat.errors import ExitCode

PLUMS = ("Apples, pears, plums.",)


def test_run_prints_the_text_and_nothing_else(llamachat):
    done = llamachat("run", "-p", "Name three fruits.", answers=PLUMS)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Apples, pears, plums.\n", b"")


def test_a_text_that_ends_its_line_gets_no_second_line_break(llamachat):
    assert llamachat("run", "-p", "hello", answers=("Hi.\n",)).stdout == b"Hi.\n"


def test_an_empty_answer_is_empty(llamachat):
    assert llamachat("run", "-p", "hello", answers=("",)).stdout == b""


def test_control_bytes_reach_a_file_as_they_are(llamachat):
    assert llamachat("run", "-p", "hello", answers=("\x1b[31mred",)).stdout == b"\x1b[31mred\n"


def test_verbose_statistics_go_to_standard_error(llamachat):
    done = llamachat("run", "-v", "-p", "hello", answers=PLUMS)
    assert done.stdout == b"Apples, pears, plums.\n"
    assert b"prompt 6 tokens" in done.stderr
    assert b"answer 21 tokens" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompt"),
    [
        pytest.param(["-p", "Summarise:"], b"A text.\n", "Summarise:\n\nA text.", id="prompt then standard input"),
        pytest.param([], b"A text.\n\n", "A text.\n", id="one line break at the end is not text"),
        pytest.param(["-p", "a", "-f", "{file}", "-f", "{file}"], b"", "a\n\nfile\n\nfile", id="several files"),
        pytest.param(["-f", "-", "-f", "{file}"], b"in", "in\n\nfile", id="a dash is standard input in its place"),
        pytest.param(["-p", "é"], b"\xef\xbb\xbfx\r\ny", "é\n\nx\ny", id="byte order mark and Windows line ends"),
    ],
)
def test_the_prompt_is_put_together_from_its_sources(llamachat, tmp_path, arguments, stdin, prompt):
    (tmp_path / "file").write_text("file\n")
    given = [argument.format(file=tmp_path / "file") for argument in arguments]
    done = llamachat("tokenize", "--ids", "--no-bos", *given, stdin=stdin)
    assert bytes(map(int, done.stdout.split())).decode() == prompt


def test_chat_answers_all_of_standard_input_as_one_message(llamachat):
    done = llamachat("chat", stdin=b"Name three\nfruits.\n", answers=PLUMS)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Apples, pears, plums.\n", b"")


def test_interactive_takes_its_turns_from_a_pipe_and_ends_with_it(llamachat):
    done = llamachat(
        "interactive", "-p", "Talk.\nUser:", "-r", "User:", "--in-prefix", " ", stdin=b"Who?\nWhy?\n",
        answers=("Bot: I am.\nUser: not mine", "Bot: so.\nUser:"),
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.decode() == "Talk.\nUser: Bot: I am.\nUser: Bot: so.\nUser: \n"


def test_perplexity_is_machine_readable(llamachat):
    done = llamachat("perplexity", "--output", "json", "-p", "abc")
    assert b'"n_scored": 3' in done.stdout


def test_a_broken_pipe_ends_silently_with_141(environment, llamachat_command):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        llamachat_command("run", "-p", "hello"),
        stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.BROKEN_PIPE, b"")


@pytest.mark.parametrize("closed", ["0", "1", "2"], ids=["standard input", "standard output", "standard error"])
def test_a_closed_stream_is_no_crash(environment, llamachat_command, closed):
    command = llamachat_command("run", "-p", "hello")
    done = subprocess.run(
        ["bash", "-c", f'"$@" {closed}>&-', "bash", *command], stdin=subprocess.DEVNULL, capture_output=True,
        env=environment, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(signal.SIGINT, ExitCode.INTERRUPT, id="Ctrl+C"),
        pytest.param(signal.SIGTERM, ExitCode.TERMINATED, id="SIGTERM"),
        pytest.param(signal.SIGHUP, 129, id="SIGHUP"),
    ],
)
def test_a_signal_ends_a_long_answer_with_its_code(environment, llamachat_command, sent, code):
    own = {**environment, "SCRIPTED_ANSWERS": '["Begun\\u0000"]'}
    with subprocess.Popen(
        llamachat_command("run", "-p", "hello"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own,
    ) as process:  # fmt: skip
        assert process.stdout.read(5) == b"Begun"
        process.send_signal(sent)
        rest, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, b"")
    assert rest in (b"", b"\n")
