"""`run` where nobody looks: word by word in a pipe, and under the programs that start others."""

import json
import os
import shlex
import shutil
import subprocess

import pexpect
import pytest


def in_shell(command, environment, **more):
    return subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, timeout=60, check=False, **more
    )


def pieces_of(command, environment):
    """What a command writes to a pipe, as its reader gets it."""
    found = []
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        while piece := os.read(process.stdout.fileno(), 65536):
            found.append(piece)
    return found


def test_a_reader_gets_whole_words(environment, llamachat_command):
    environment["SCRIPTED_ANSWERS"] = json.dumps(["Größe und Länge, " * 40 + "Ende"])
    pieces = pieces_of(llamachat_command("run", "-p", "hi"), environment)
    assert b"".join(pieces).decode().endswith("Länge, Ende\n")
    assert len(pieces) > 1
    assert [piece for piece in pieces if not piece.endswith((b" ", b"\n"))] == []


def test_half_a_word_comes_where_nothing_follows(environment, llamachat_command):
    environment["SCRIPTED_ANSWERS"] = json.dumps(["One tw\0"])
    with subprocess.Popen(
        llamachat_command("run", "-p", "hi"), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert os.read(process.stdout.fileno(), 64) == b"One "
        assert os.read(process.stdout.fileno(), 64) == b"tw"  # the model is still at work: it never says more
        assert process.poll() is None
        process.kill()


def test_each_line_of_xargs_is_a_prompt(environment, llamachat_command):
    command = shlex.join(llamachat_command("run", "--echo", "-p"))
    done = in_shell(f"printf 'one\\ntwo\\n' | xargs -n 1 {command}", environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"oneAn answer.\ntwoAn answer.\n", b"")


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not on this machine")
def test_parallel_gets_an_answer_for_each_line(environment, llamachat_command):
    command = shlex.join(llamachat_command("run", "--echo", "-p"))
    done = in_shell(f"printf 'one\\ntwo\\n' | parallel -j 2 -k {shlex.quote(command)} {{}}", environment)
    assert done.stdout == b"oneAn answer.\ntwoAn answer.\n"


@pytest.mark.skipif(shutil.which("watch") is None, reason="watch is not on this machine")
def test_watch_shows_the_answer(environment, llamachat_command):
    command = shlex.join(llamachat_command("run", "-p", "hi"))
    watch = pexpect.spawn(
        "watch", ["-n", "0.1", command], env={**environment, "TERM": "xterm"}, dimensions=(24, 200), timeout=6
    )
    try:
        watch.expect_exact("An answer.")
    finally:
        watch.close(force=True)


@pytest.mark.parametrize("home", [None, "/dev/null/none", "/proc"], ids=["no HOME", "no such folder", "read-only"])
def test_it_runs_as_cron_would_start_it(environment, llamachat_command, home):
    command = llamachat_command("run", "--prompt", "title", "-p", "hi")
    bare = {name: environment[name] for name in ("PATH", "PYTHONPATH", "SCRIPTED_ANSWERS") if name in environment}
    done = in_shell(
        f"setsid -w {shlex.join(command)} </dev/null", bare | ({"HOME": home} if home is not None else {}), cwd="/"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"An answer.\n", b"")
