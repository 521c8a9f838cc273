"""A chat that is ended by a signal, whatever it does just then: nothing that was said is lost, the terminal is usable.

LLAMACHAT_KILLS says how often by each signal (session/test_kills.py); the moments within a phase are random.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from talking_at import BUSY, COOKED, READY, SCRIPTED
from typing_at import CTRL_D, ENTER, environment

from llamachat.session.chats import ChatStore
from llamachat.session.places import database_path

TIMES = max(1, int(os.environ.get("LLAMACHAT_KILLS", "20")) // 20)
SIGNALS = ("KILL", "TERM", "HUP", "INT")
STUCK = "\0"
TOOLS = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or () %}<tool_call>\n{{ call.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{# <think></think> #}"
)
PHASES = {
    "typing": ([], [], "half a thought"),
    "reading": ([STUCK], [], "two"),
    "thinking": ([f"<think>\nHm hm{STUCK}"], ["--chat-template", THINKS], "two"),
    "answering": ([f"Some words{STUCK}"], [], "two"),
    "tool": (['<tool_call>\n{"name": "wait", "arguments": {}}\n</tool_call>'], ["--chat-template", TOOLS], "two"),
    "summarising": ([STUCK], ["-c", "400", "--on-full", "summarize"], "two " + "x" * 150),
    "saving": ([], [], CTRL_D),
    "editing": ([], [], "/edit"),
}
SHOWN = {
    "typing": "half a thought", "reading": "reading", "thinking": "Hm hm", "answering": "Some words", "tool": "wait",
    "summarising": "summary", "saving": "", "editing": "editor is open",
}  # fmt: skip
"""What is on the screen when a phase has begun."""


@pytest.fixture
def chat(talk, tmp_path):
    """A chat with one turn that is finished, in the phase of this name."""
    (tmp_path / "tools.json").write_text(json.dumps([{
        "name": "wait", "description": "waits", "parameters": {"type": "object", "properties": {}},
        "command": [sys.executable, "-c", "import time; time.sleep(30)"],
    }]))  # fmt: skip
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho two > "$1"\necho editor is open\nexec sleep 30\n')
    editor.chmod(0o755)

    def begin(phase):
        answers, arguments, typed = PHASES[phase]
        if phase == "tool":
            arguments = [*arguments, "--tools", str(tmp_path / "tools.json"), "--yes"]
        person = talk("--session", "case", *arguments, answers=["One.", *answers], EDITOR=str(editor))
        person.ask("one " + "x" * 100)
        person.type(typed if phase in ("typing", "saving") else typed + ENTER)
        if SHOWN[phase]:
            person.until(SHOWN[phase])
        return person

    return begin


def kept():
    """The chat, and all that was ever said in it."""
    with ChatStore(database_path()) as store:
        number = store.find("case")
        return store.path_of(number), [one.content for one in store.tree_of(number)]


def check(phase, how, person):
    """What is kept of the second turn."""
    path, everything = kept()
    assert [one.content for one in path[:2]] == ["one " + "x" * 100, "One."]
    assert all(one.state == "done" for one in path[:2])
    last = path[-1]
    if phase in ("reading", "summarising"):
        assert any(one.startswith("two") for one in everything)
        if how in ("TERM", "HUP"):
            assert (last.content[:3], last.state) == ("two", "interrupted")
    if phase in ("thinking", "answering"):
        assert [one.role for one in path] == ["user", "assistant"] * 2
        assert ("Hm hm" if phase == "thinking" else "Some words") in last.content
        assert last.state == ("partial" if how == "KILL" else "interrupted")
    if phase == "tool":
        assert "two" in [one.content for one in path]
        assert path[3].extra["tool_calls"][0]["function"]["name"] == "wait"
        if how != "KILL":
            assert path[4].role == "tool"
    if phase in ("typing", "saving", "editing") and how != "INT":
        assert len(path) == 2


@pytest.mark.parametrize("number", range(TIMES))
@pytest.mark.parametrize("how", SIGNALS)
@pytest.mark.parametrize("phase", PHASES)
def test_nothing_is_lost(chat, own_home, phase, how, number):
    person = chat(phase)
    # An answer that was seen may be a second old until it is kept; a signal keeps it at once.
    moment = random.Random(f"{phase} {how} {number}").uniform(0, 0.3)
    time.sleep(moment + (1.2 if how == "KILL" and phase in ("thinking", "answering") else 0))
    if how == "INT" and phase not in ("saving", "typing"):
        person.child.sendintr()
        if phase == "editing":  # the editor's own business; here it dies of it
            person.until(lambda _lines: person.raw.rfind(READY) > person.raw.rfind(BUSY))
        person.ready()
        person.press("\x15")
        person.type(CTRL_D)
    else:
        person.child.kill(getattr(signal, f"SIG{how}"))
        if how == "INT" and phase == "typing":
            person.ready()
            person.type(CTRL_D)
    code = person.end()
    if how != "KILL":
        assert person.left == COOKED
        assert "Traceback" not in person.raw
        number = getattr(signal, f"SIG{how}")
        # While it saves the program may have been done before, or be so far that the system ends it.
        allowed = (0, 128 + number, -number) if phase == "saving" else (0,) if how == "INT" else (128 + number,)
        assert code in allowed
        assert person.is_left_well
    check(phase, how, person)


@pytest.mark.parametrize("answer", [STUCK, f"Some words{STUCK}"], ids=["reading", "answering"])
@pytest.mark.parametrize("how", SIGNALS)
def test_nothing_is_lost_in_a_pipe(own_home, answer, how):
    own = {**environment(own_home), "SCRIPTED_ANSWERS": json.dumps([answer])}
    command = [sys.executable, SCRIPTED, "chat", "--session", "case"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=own) as process:
        process.stdin.write(b"one")
        process.stdin.close()
        if answer != STUCK:
            assert process.stdout.read(10) == b"Some words"
        while not database_path().exists() or "one" not in said():
            time.sleep(0.02)
        time.sleep(1.2 if how == "KILL" else 0)
        process.send_signal(getattr(signal, f"SIG{how}"))
        process.stdout.read()  # to its end
    assert process.returncode == (-9 if how == "KILL" else 128 + getattr(signal, f"SIG{how}"))
    with ChatStore(database_path()) as store:
        path = store.path_of(store.find("case"))
    assert [one.content for one in path] == (["one"] if answer == STUCK else ["one", "Some words"])
    assert path[-1].state == (("done" if answer == STUCK else "partial") if how == "KILL" else "interrupted")


def said():
    with ChatStore(database_path()) as store:
        number = store.named("case")
        return [] if number is None else [one.content for one in store.path_of(number)]
