"""The conventions of terminal programs: the rows of terminal-chat-peers.md, section 3, each with a test of its number.

Durations (rows 11 and 29) are not measured. Rows 10, 11, 30 and 31 have more tests beside the code that keeps chats.
"""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest
from tiny_gguf import tiny_gguf

from llamachat import __version__
from llamachat.errors import ExitCode
from llamachat.session.chats import ChatStore
from llamachat.session.places import database_path

STUCK = "\0"
"""In an answer: a step that lasts until it is stopped."""

HEAVY = r"\b(numpy|llvmlite|prompt_toolkit|rich|jinja2|tokenizers)\b"
EDITING = r"\x1b\[\?2004h"
"""The line editor is there."""

COMMANDS = ("run", "chat", "interactive", "models", "pull", "tokenize", "perplexity", "config", "doctor")


def in_shell(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=60, check=False)


def on_terminal(command: list[str], environment: dict[str, str]) -> bytes:
    """What a command writes to a terminal."""
    reader, writer = pty.openpty()
    with subprocess.Popen(command, stdin=writer, stdout=writer, stderr=writer, env=environment):
        os.close(writer)
        shown = b""
        with suppress(OSError):  # so Linux says that the other end is closed
            while piece := os.read(reader, 4096):
                shown += piece
    os.close(reader)
    return shown


def test_row_1_the_version_is_one_line_and_imports_nothing_heavy(environment):
    command = [sys.executable, "-X", "importtime", "-m", "llamachat", "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"llamachat {__version__}\n"
    assert re.findall(HEAVY, done.stderr) == []


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_row_2_every_command_has_help_with_examples_before_the_options(llamachat, flag):
    for command in COMMANDS if flag == "-h" else ["run"]:
        done = llamachat(command, flag)
        assert done.returncode == 0, command
        shown = done.stdout.decode()
        assert 0 < shown.index("Examples:") < shown.index("--help"), command


def test_row_3_no_argument_is_a_question_for_help(llamachat):
    done = llamachat()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == llamachat("--help").stdout


def test_row_4_help_is_plain_in_a_pipe_and_has_bold_headings_on_a_terminal(llamachat, environment):
    for words in (["--help"], ["run", "--help"], ["run", "--help-all"]):
        assert not re.search(r"[\x1b\u2500-\u257f]", llamachat(*words).stdout.decode())
        command = [sys.executable, "-m", "llamachat", *words]
        shown = on_terminal(command, {**environment, "TERM": "xterm"})
        assert b"\x1b[1mUsage:\x1b[0m" in shown
        assert b"\x1b" not in on_terminal(command, {**environment, "TERM": "xterm", "NO_COLOR": "1"})


def test_row_5_a_mistyped_command_names_the_nearest_on_standard_error(llamachat):
    done = llamachat("rnu")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, b"")
    assert b"Did you mean 'run'?" in done.stderr


def test_row_6_standard_output_is_the_answer_and_one_line_break(llamachat):
    assert llamachat("run", "-v", "-p", "hi", answers=("Hello.",)).stdout == b"Hello.\n"


def test_row_7_without_a_terminal_there_is_no_colour_and_nothing_that_moves(llamachat):
    done = llamachat("run", "-v", "--timings", "-p", "hi", TERM="xterm-256color")
    assert not re.search(rb"[\x1b\r]", done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("arguments", "variables", "coloured"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),
        ((), {"TERM": "dumb"}, False),
        (("--no-color",), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_row_8_colour_follows_no_color_term_and_the_option(environment, tmp_path, arguments, variables, coloured):
    tiny_gguf(tmp_path / "tiny.gguf")
    own = {**environment, "TERM": "xterm-256color", "LLAMACHAT_MODELS": str(tmp_path), **variables}
    shown = on_terminal([sys.executable, "-m", "llamachat", "models", *arguments], own)
    assert b"tiny" in shown
    assert (b"\x1b[" in shown) == coloured


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_rows_9_and_10_a_signal_ends_a_run_with_its_code_and_no_traceback(environment, llamachat_command, sent, code):
    command = llamachat_command("run", "-p", "hi")
    environment["SCRIPTED_ANSWERS"] = json.dumps([f"Begun{STUCK}"])
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.read(5) == b"Begun"
        process.send_signal(sent)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (code, b"")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_rows_10_and_30_what_was_said_before_the_end_is_kept(environment, llamachat, llamachat_command, sent, code):
    command = llamachat_command("chat", "--session", "s", "Hi")
    environment["SCRIPTED_ANSWERS"] = json.dumps([f"Begun{STUCK}"])
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.read(5) == b"Begun"
        process.send_signal(sent)
        process.communicate(timeout=30)
    assert process.returncode == code
    shown = llamachat("sessions", "show", "s").stdout
    assert b"user:\nHi" in shown
    if sent is signal.SIGTERM:
        assert re.search(rb"assistant \(interrupted\):\nBegun", shown)


def test_row_11_ctrl_c_stops_the_answer_and_twice_at_the_prompt_the_chat(terminal):
    child = terminal("chat", "Hi", answers=(f"Begun{STUCK}",))
    child.expect_exact("Begun")
    child.sendintr()
    child.expect_exact("interrupted")
    child.expect(EDITING)
    child.send("\x03")
    child.expect_exact("Ctrl+C again")
    child.expect(EDITING)
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0


def test_row_12_a_closed_pipe_is_quiet(environment, llamachat_command):
    command = shlex.join(llamachat_command("run", "-p", "hi"))
    environment["SCRIPTED_ANSWERS"] = json.dumps(["x " * 50_000])
    done = in_shell(f"{command} | head -c 1; exit ${{PIPESTATUS[0]}}", environment)
    assert (done.returncode, done.stdout, done.stderr) == (141, b"x", b"")


def test_row_13_a_full_disk_is_one_line(llamachat_to):
    code, said = llamachat_to("/dev/full", "run", "-p", "hi")
    assert code == ExitCode.ERROR
    assert said.count("\n") == 1


@pytest.mark.parametrize("streams", ["</dev/null", "<&-"])
def test_row_14_it_runs_without_a_terminal_and_with_standard_input_closed(environment, llamachat_command, streams):
    done = in_shell(f"setsid -w {shlex.join(llamachat_command('run', '-p', 'hi'))} {streams}", environment)
    assert (done.returncode, done.stdout) == (0, b"An answer.\n")


@pytest.mark.parametrize("command", ["chat", "interactive"])
def test_row_15_a_talk_without_a_terminal_ends(environment, llamachat_command, command):
    done = in_shell(f"{shlex.join(llamachat_command(command))} </dev/null", environment)
    assert done.returncode in (0, 2)
    assert b"Traceback" not in done.stderr


def test_row_16_a_dash_is_standard_input_and_data_joins_the_instruction(llamachat):
    for arguments in (("-p", "Summarise:"), ("-p", "Summarise:", "-f", "-")):
        done = llamachat("tokenize", "--ids", "--no-bos", *arguments, stdin=b"text")
        assert bytes(map(int, done.stdout.split())) == b"Summarise:\n\ntext"


def test_row_17_after_a_pipe_the_chat_goes_on_at_the_terminal(environment, llamachat_command):
    line = f"echo piped | {shlex.join(llamachat_command('chat'))}"
    own = {**environment, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
    child = pexpect.spawn("bash", ["-c", line], env=own, encoding="utf-8", timeout=60)
    for _ in range(2):
        child.expect_exact("An answer.")
        child.expect(EDITING)
        child.send("typed\r")
    child.close(force=True)


def test_row_20_the_nearer_counts_and_is_shown(llamachat, tmp_path):
    (tmp_path / "c.toml").write_text("temp = 0.1\ntop_k = 1\n[profile.p]\ntop_k = 2\ntop_p = 0.2\n")
    environment = {"LLAMACHAT_CONFIG": str(tmp_path / "c.toml"), "LLAMACHAT_TOP_P": "0.3"}
    done = llamachat("config", "show", "--origin", "--profile", "p", **environment)
    found = dict(re.findall(r"^(\w+ = \S+) +# (.*)$", done.stdout.decode(), re.MULTILINE))
    assert found == {
        "temp = 0.1": f"{tmp_path}/c.toml, line 1",
        "top_k = 2": f"{tmp_path}/c.toml, line 4",
        "top_p = 0.3": "LLAMACHAT_TOP_P",
    }


@pytest.mark.parametrize("words", [("ru",), ("run", "--promp", "x"), ("run", "--n-pred", "3", "-p", "x")])
def test_row_21_nothing_can_be_abbreviated(llamachat, words):
    assert llamachat(*words).returncode == ExitCode.USAGE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_row_22_a_completion_script_is_printed_and_no_file_is_changed(llamachat, own_home, shell):
    before = sorted(own_home.rglob("*"))
    done = llamachat("completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"run" in done.stdout
    assert sorted(own_home.rglob("*")) == before


def test_row_23_models_and_chats_are_completed_with_what_they_are(llamachat, tmp_path):
    tiny_gguf(tmp_path / "tiny.gguf")
    with ChatStore(database_path()) as store:
        store.create("tiny", "taxes")
    assert re.fullmatch(
        rb"tiny\t\d+ (bytes|kB), llamachat\n", llamachat("__complete", "models", LLAMACHAT_MODELS=str(tmp_path)).stdout
    )
    assert llamachat("__complete", "sessions", "ta").stdout.startswith(b"taxes")


def test_rows_24_and_35_the_manual_and_the_man_page_are_made_from_the_program():
    tool = Path(__file__).parents[2] / "tools" / "make_cli_docs.py"
    subprocess.run([sys.executable, str(tool), "--check"], check=True, capture_output=True)
    page = (tool.parents[1] / "docs" / "llamachat.1").read_text("utf-8")
    assert page.startswith(".TH LLAMACHAT 1")
    for named in (r"\fB\-c, \-\-ctx\-size N\fR", '.SH "EXIT CODES"', '.SH "LLAMACHAT RUN"'):
        assert named in page


def test_row_25_each_line_for_a_program_is_json_of_a_version(llamachat):
    done = llamachat("run", "-p", "hi", "--output", "jsonl", "--echo")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["prompt", "stop"]
    assert {line["v"] for line in lines} == {1}


@pytest.mark.parametrize(
    "words",
    [
        ("run", "hi", "--output", "json"),
        ("run", "hi", "--dry-run", "--output", "json"),
        ("run", "hi", "--parallel", "2", "--output", "jsonl", "--dry-run"),
        ("config", "show", "--output", "json"),
        ("doctor", "--output", "json"),
        ("prompts", "--output", "json"),
        ("prompts", "summarize", "--output", "json"),
        ("sessions", "--output", "json"),
        ("sessions", "show", "1", "--output", "json"),
        ("models", "--output", "json"),
        ("show", "tiny", "--output", "json"),
    ],
)
def test_row_25_every_object_for_a_program_has_a_version(llamachat, tmp_path, words):
    tiny_gguf(tmp_path / "tiny.gguf")
    with ChatStore(database_path()) as store:
        store.create("tiny", "taxes")
    done = llamachat(*words, LLAMACHAT_MODELS=str(tmp_path))
    lines = done.stdout.splitlines() if "jsonl" in words or words[0] == "run" else [done.stdout]
    found = []
    for data in map(json.loads, lines):
        found += data if isinstance(data, list) else [data]
    assert found
    assert {one["v"] for one in found} == {1}


def test_row_26_a_run_in_a_pipe_says_nothing_but_its_answer(llamachat):
    assert llamachat("run", "-p", "hi").stderr == b""
    assert llamachat("run", "-v", "-p", "hi").stderr != b""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--no-input", "chat"), b"llamachat chat MESSAGE"),
        (("chat", "--no-input"), b"llamachat chat MESSAGE"),
        (("interactive", "--no-input"), b"llamachat run"),
        (("config", "edit", "--no-input"), b"config.toml"),
        (("sessions", "delete", "taxes", "--no-input"), b"--yes"),
        (("models", "rm", "tiny", "--no-input"), b"--yes"),
        (("run", "-m", "gemma3", "hi", "--no-input"), b"--yes"),
        (("pull", "--no-input", "hf:a"), b"hf:owner/repository"),
    ],
)
def test_row_28_without_input_nothing_is_asked(environment, tmp_path, words, told):
    tiny_gguf(tmp_path / "tiny.gguf")
    with ChatStore(database_path()) as store:
        store.create("tiny", "taxes")
    own = {**environment, "TERM": "xterm", "LLAMACHAT_MODELS": str(tmp_path), "COLUMNS": "200"}
    assert told in on_terminal([sys.executable, "-m", "llamachat", *words], own)


def test_row_29_what_takes_time_is_said_on_a_terminal(terminal):
    child = terminal("run", "-p", "hi", answers=(STUCK,))
    child.expect(r"\d+ %|tokens")
    child.sendintr()


def test_row_32_nothing_that_talks_to_a_network_is_loaded_for_a_local_model(environment, llamachat_command):
    environment["SCRIPTED_ANSWERS"] = json.dumps(["An answer."])
    code = (
        "import runpy, sys\n"
        "def watch(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        print('NETWORK', event, file=sys.stderr)\n"
        "sys.addaudithook(watch)\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "sys.argv = ['llamachat', 'run', '-p', 'hi']\n"
        f"runpy.run_path({str(Path(__file__).with_name('scripted.py'))!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.stdout == b"An answer.\n"
    assert b"NETWORK" not in done.stderr


@pytest.mark.parametrize(
    ("columns", "variables"), [(20, {}), (80, {"TERM": "dumb"}), (80, {"LANG": "C", "LC_ALL": "C"})]
)
def test_row_33_narrow_and_odd_terminals_are_no_reason_to_fail(llamachat, columns, variables):
    for words in (("--help",), ("run", "--help"), ("config", "show"), ("run", "-p", "hi", "-v")):
        done = llamachat(*words, answers=("Grüße, 世界 🙂",), COLUMNS=str(columns), **variables)
        assert done.returncode == 0, done.stderr


def test_row_34_without_colour_nothing_is_lost(environment, tmp_path):
    tiny_gguf(tmp_path / "tiny.gguf")
    own = {**environment, "TERM": "xterm-256color", "LLAMACHAT_MODELS": str(tmp_path), "COLUMNS": "200"}
    command = [sys.executable, "-m", "llamachat", "models"]
    coloured, plain = on_terminal(command, own), on_terminal(command, {**own, "NO_COLOR": "1"})
    assert coloured != plain
    assert re.sub(rb"\x1b\[[0-9;]*m", b"", coloured) == plain
