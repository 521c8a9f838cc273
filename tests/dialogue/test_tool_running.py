"""Tools from a file, and their commands."""

import json
import sys

import pytest

from llamachat.dialogue.tools import running
from llamachat.dialogue.tools.call import Call
from llamachat.dialogue.tools.definition import Tool, read_tools
from llamachat.dialogue.tools.running import run_call, words_of
from llamachat.errors import UsageError

ECHO = Tool("echo", command=(sys.executable, "-c", "import sys; print(sys.argv[1], sys.stdin.read())", "<{text}>"))


def written(tmp_path, content):
    path = tmp_path / "tools.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_both_ways_to_write_a_tool_are_read(tmp_path):
    plain = {"name": "a", "description": "A.", "parameters": {"type": "object"}, "command": ["date"]}
    openai = {"type": "function", "function": {"name": "b"}, "command": ["true"]}
    tools = read_tools(written(tmp_path, [plain, openai]))
    assert tools[0] == Tool("a", "A.", {"type": "object"}, ("date",))
    assert tools[1].name == "b"
    assert tools[1].described["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ({}, "a JSON list of tools"),
        ([], "a JSON list of tools"),
        ([1], "tool 1 must be an object"),
        ([{"name": "a"}, {"description": "x"}], "tool 2 has no name"),
        ([{"name": "a", "parameters": []}], "parameters must be a JSON schema"),
        ([{"name": "a", "command": "rm -rf"}], "a list of words"),
        ([{"name": "a", "comand": ["date"]}], "unknown key 'comand'; did you mean command?"),
        ([{"name": "a"}, {"name": "a"}], "two tools named 'a'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_place(tmp_path, content, said):
    with pytest.raises(UsageError, match=said):
        read_tools(written(tmp_path, content))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.json"):
        read_tools(tmp_path / "absent.json")


def test_arguments_stand_in_the_command_and_on_its_input():
    said = run_call(Call("echo", {"text": "a b; rm", "n": 1}), [ECHO])
    assert said == '<a b; rm> {"text": "a b; rm", "n": 1}'


def test_an_argument_that_looks_like_a_place_is_not_filled_again():
    tool = Tool("t", command=("{a}", "{b}", "{c}"))
    assert words_of(tool, Call("t", {"a": "{b}", "b": [1, "ü"]})) == ["{b}", '[1, "ü"]', "{c}"]


NEEDS = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]}


def test_an_argument_that_may_be_left_out_is_empty_where_it_is():
    assert words_of(Tool("t", parameters=NEEDS, command=("<{a}>", "<{b}>")), Call("t", {"a": "x"})) == ["<x>", "<>"]


def test_a_call_without_an_argument_that_is_needed_is_not_run(tmp_path):
    tool = Tool("t", parameters=NEEDS, command=("touch", str(tmp_path / "{a}was-run")))
    assert run_call(Call("t", {"b": "x"}), [tool]) == "error: t needs a"
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_run_is_told_to_the_model():
    assert "no tool named x" in run_call(Call("x", {}), [ECHO])
    assert "cannot be run here" in run_call(Call("a", {}), [Tool("a")])
    assert "cannot be run" in run_call(Call("a", {}), [Tool("a", command=("/no/such/program",))])
    failing = Tool("a", command=(sys.executable, "-c", "import sys; sys.stderr.write('bad'); sys.exit(3)"))
    assert run_call(Call("a", {}), [failing]) == "error: a ended with 3: bad"


def test_a_command_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(running, "PATIENCE_S", 0.05)
    sleeping = Tool("a", command=(sys.executable, "-c", "import time; time.sleep(60)"))
    assert "was stopped" in run_call(Call("a", {}), [sleeping])


def test_a_long_result_is_cut_and_that_is_said(monkeypatch):
    monkeypatch.setattr(running, "LONGEST_RESULT", 10)
    said = run_call(Call("a", {}), [Tool("a", command=(sys.executable, "-c", "print('x' * 50)"))])
    assert said == "x" * 10 + "\n[cut: 50 characters in all]"


def test_bytes_that_are_no_text_do_no_harm():
    tool = Tool("a", command=(sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'\xff')"))
    assert run_call(Call("a", {}), [tool]) == "\ufffd"
