"""Options of llama.cpp and Ollama: each means something here, or is told by name with what to type instead."""

import pytest

from llamachat.cli.app import make_program
from llamachat.cli.peers import ACTIONS, ALREADY, COMMANDS, PEER_OPTIONS, translated
from llamachat.errors import UsageError

PROGRAM = make_program()


def meant(command, *words):
    return translated(list(words), PROGRAM.commands[command])


@pytest.mark.parametrize(
    ("command", "words", "ours"),
    [
        ("run", ["-hf", "a/b:Q4_0", "x"], ["--model=hf:a/b:Q4_0", "x"]),
        ("bench", ["--hf_repo=a/b"], ["--model=hf:a/b"]),
        ("chat", ["-sys", "Be brief.", "hi"], ["--system=Be brief.", "hi"]),
        ("chat", ["-cnv", "hi"], ["hi"]),
        ("run", ["-no-cnv", "-p", "-cnv"], ["-p", "-cnv"]),
        ("run", ["--log-disable", "hi"], ["--quiet", "hi"]),
        ("run", ["-sysf", "f", "--chat", "hi"], ["--system-file=f", "--chat", "hi"]),
        ("run", ["--", "--mlock"], ["--", "--mlock"]),
        ("interactive", ["-if", "-r", "User:", "--simple-io"], ["-if", "-r", "User:", "--simple-io"]),
    ],
)
def test_what_it_can_mean_is_meant(command, words, ours):
    assert meant(command, *words) == (ours, [])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--mlock"], ["--mlock"]),
        (["--no-mmap"], ["--no-mmap"]),
        (["--no_mmap"], ["--no-mmap"]),
        (["-ngl", "99"], ["-ngl"]),
        (["-fa", "on", "-b", "512"], ["-fa", "-b"]),
        (["-fa"], ["-fa"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "chat", "interactive", "bench"])
def test_what_changes_nothing_is_said_with_the_reason(command, words, named):
    ours, said = meant(command, *words)
    assert ours == []
    assert [sentence.partition(" has no effect: ")[0] for sentence in said] == named


@pytest.mark.parametrize(
    ("command", "words", "instead"),
    [
        ("run", ["-cnv"], "llamachat chat"),
        ("chat", ["-no-cnv"], "llamachat run"),
        ("chat", ["--single-turn"], "llamachat run --chat"),
        ("chat", ["-r", "User:"], "llamachat interactive -r"),
        ("models", ["-hf", "a/b"], "llamachat pull hf:a/b"),
        ("models", ["--lora", "a.gguf"], "commands that run a model have --lora"),
        ("run", ["-hft", "secret"], "HF_TOKEN"),
        ("run", ["-hf"], "needs a value"),
    ],
)
def test_what_is_meant_differently_here_is_refused_with_what_to_type(command, words, instead):
    with pytest.raises(UsageError) as refused:
        meant(command, *words)
    assert words[0] in str(refused.value)
    assert instead in str(refused.value)


@pytest.mark.parametrize("command", PROGRAM.commands)
def test_an_option_of_a_command_is_never_taken_for_another_programs(command):
    for option in PROGRAM.commands[command].params:
        for name in option.opts if option.param_type_name == "option" else ():
            assert meant(command, name) == ([name], [])


SILENT = frozenset().union(*ALREADY.values())


def outcome(command, words):
    try:
        return translated(words, command)
    except UsageError as error:
        return str(error)


@pytest.mark.parametrize("name", [name for name in PEER_OPTIONS if name not in SILENT])
def test_every_entry_says_something_for_every_command(name):
    words = [name, "1"] if PEER_OPTIONS[name].takes else [name]
    for command in PROGRAM.commands.values():
        said = outcome(command, words)
        assert name in said if isinstance(said, str) else any(said)


def test_names_of_commands_lead_to_ours():
    for ours in COMMANDS.values():
        assert ours.partition(" ")[0] in (*PROGRAM.commands, "--version")


def test_words_for_actions_lead_to_ours_and_are_none_of_ours():
    def actions(command):
        (found,) = (one.type.choices for one in PROGRAM.commands[command].params if one.name == "action")
        return list(found)

    for (command, word), ours in ACTIONS.items():
        assert word not in actions(command)
        first, _, second = ours.partition(" ")
        assert first in PROGRAM.commands
        assert second in ("", "--continue") or second in actions(first)


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        (("sessions", "rm", "x"), "sessions delete"),
        (("models", "delete", "x"), "models rm"),
        (("config", "set", "temp", "1"), "config edit"),
    ],
)
def test_a_word_of_another_program_is_answered_with_ours(llamachat, typed, ours):
    done = llamachat(*typed)
    said = f"there is no `llamachat {typed[0]} {typed[1]}`: type `llamachat {ours}`"
    assert (done.returncode, said in done.stderr.decode()) == (2, True)


def test_the_whole_way_from_the_command_line(llamachat):
    done = llamachat("run", "--mlock", "-ngl", "99", "Hi")
    assert (done.returncode, done.stdout) == (0, b"An answer.\n")
    assert [line.split()[0] for line in done.stderr.splitlines()] == [b"--mlock", b"-ngl"]
    assert llamachat("run", "-q", "--mlock", "Hi").stderr == b""
    refused = llamachat("list")
    assert (refused.returncode, b"llamachat models" in refused.stderr) == (2, True)
