"""`chat` without a terminal: one message, its answer, and the chat that it belongs to."""

import json

import pytest

TOOLS = json.dumps([{"name": "now", "description": "the time", "parameters": {"type": "object", "properties": {}},
                     "command": ["date"]}])  # fmt: skip


def test_a_named_chat_goes_on_from_message_to_message(llamachat):
    first = llamachat("chat", "--session", "trip", stdin=b"one", answers=("First.",))
    second = llamachat("chat", "--continue", "--cache-budget", "0", stdin=b"two", answers=("Second.",))
    assert (first.stdout, second.stdout, second.stderr) == (b"First.\n", b"Second.\n", b"")
    talk = llamachat("sessions", "show", "trip").stdout.decode()
    places = [talk.index(text) for text in ("one", "First.", "two", "Second.")]
    assert places == sorted(places)


def test_nothing_is_kept_of_a_message_that_belongs_to_no_chat(llamachat):
    llamachat("chat", stdin=b"one", answers=("First.",))
    assert b"one" not in llamachat("sessions", "list").stdout


def test_what_the_program_says_is_not_in_the_answer(llamachat):
    done = llamachat("chat", "--session", "trip", "-n", "3", stdin=b"one", answers=("First.",))
    assert done.stdout == b"Fir\n"
    assert b"cut short" in done.stderr


@pytest.mark.parametrize(("how", "shown"), [("show", b"<think>Hm.</think>Yes.\n"), ("hide", b"Yes.\n")])
def test_thoughts_are_hidden_on_request(llamachat, how, shown):
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{# <think></think> #}"
    done = llamachat(
        "chat", "--reasoning", how, "--chat-template", template, stdin=b"?", answers=("<think>Hm.</think>Yes.",)
    )
    assert done.stdout == shown


@pytest.mark.parametrize("which", [("--session", "trip"), ("--session", "7"), ("--continue",)])
def test_chats_that_cannot_be_read_are_said_once_and_one_in_memory_answers(llamachat, environment, tmp_path, which):
    environment["LLAMACHAT_DATA"] = str(tmp_path)
    (tmp_path / "chats" / "chats.db").mkdir(parents=True)
    done = llamachat("chat", *which, stdin=b"one", answers=("First.",))
    assert (done.returncode, done.stdout) == (0, b"First.\n")
    assert len(done.stderr.splitlines()) == 1
    assert b"this chat is not kept" in done.stderr


def test_commands_of_tools_need_a_yes_where_nobody_can_be_asked(llamachat, tmp_path):
    (tmp_path / "tools.json").write_text(TOOLS)
    done = llamachat("chat", "--tools", str(tmp_path / "tools.json"), stdin=b"?")
    assert done.returncode == 2
    assert b"--yes" in done.stderr


def test_nothing_is_left_of_a_chat_whose_beginning_is_refused(llamachat, tmp_path):
    (tmp_path / "tools.json").write_text(TOOLS)
    tools = ("--tools", str(tmp_path / "tools.json"), "--yes", "--chat-template", "{{ messages }}")
    done = llamachat("chat", "--session", "trip", *tools, stdin=b"?")
    assert (done.returncode, b"knows of no tools" in done.stderr) == (2, True)
    assert json.loads(llamachat("sessions", "list", "--output", "json").stdout) == []


def test_a_chat_goes_on_by_its_number_and_none_begins_with_one(llamachat):
    llamachat("chat", "--session", "trip", stdin=b"one", answers=("First.",))
    assert llamachat("chat", "--session", "1", stdin=b"two", answers=("Second.",)).returncode == 0
    assert b"Second." in llamachat("sessions", "show", "trip").stdout
    for name, said in (("2", b"no chat 2;"), ("", b"cannot be named"), ("9" * 30, b"no chat 999")):
        refused = llamachat("chat", "--session", name, stdin=b"three")
        assert (refused.returncode, said in refused.stderr) == (2, True)
    assert len(llamachat("sessions", "list").stdout.splitlines()) == 2
