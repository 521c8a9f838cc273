"""`run --reasoning`: what a model thinks before its answer, in text and JSON, alone and side by side."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from scripted import ScriptedTokenizer

from llamachat.engine.events import Stop, Timings, Token
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.parallel import Request
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.batch import BatchRun, run_batch
from llamachat.terminal.status import Status

TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}|off{% endif %}{# <think></think> #}"
)
CHAT = ("run", "--chat", "--chat-template", TEMPLATE)
SAID = "<think>Hm, well.</think>\n\nYes, 1 < 2."


def test_hidden_thoughts_are_not_put_out(llamachat):
    shown = llamachat(*CHAT, "-p", "?", answers=(SAID,)).stdout.decode()
    hidden = llamachat(*CHAT, "-p", "?", "--reasoning", "hide", answers=(SAID,)).stdout.decode()
    assert (shown, hidden) == (f"{SAID}\n", "Yes, 1 < 2.\n")


def test_json_has_the_answer_only_but_counts_all_tokens(llamachat):
    arguments = (*CHAT, "-p", "?", "--reasoning", "hide", "-o")
    whole = json.loads(llamachat(*arguments, "json", answers=(SAID,)).stdout)
    assert whole["text"] == "Yes, 1 < 2."
    assert whole["timings"]["n_generated"] == len(SAID)
    lines = llamachat(*arguments, "jsonl", answers=(SAID,)).stdout.decode().splitlines()
    assert "".join(json.loads(line)["text"] for line in lines) == "Yes, 1 < 2."


def test_a_thought_that_the_model_ended_with_is_its_answer(llamachat):
    answers = ("<think>Only this.",)
    assert llamachat(*CHAT, "-p", "?", "--reasoning", "hide", answers=answers).stdout == b"Only this.\n"
    cut = llamachat(*CHAT, "-p", "?", "--reasoning", "hide", "-n", "12", answers=answers)
    assert cut.stdout == b""


def test_thoughts_are_hidden_side_by_side(capsys):
    template, tokenizer = ChatTemplate(TEMPLATE), ScriptedTokenizer()
    said = [["<thi", "nk>Hm", "</think>", "\nYes"], ["No", " thought", "", "."]]
    batch = SimpleNamespace(
        answers=lambda *_: iter([(i, event) for n in range(5) for i in (0, 1) for event in [_event(said[i], n)]]),
        cancel=lambda: None, resume=lambda: None,
    )  # fmt: skip
    job = BatchRun(SimpleNamespace(tokenizer=tokenizer), batch, Status(), 100, 0.0, template=template, hides=True)
    run_batch(job, [Request([65], GenerationOptions())] * 2)
    assert capsys.readouterr().out == "Yes\n---\nNo thought.\n"


def _event(said, n):
    return Token(said[n], 65) if n < len(said) else Stop("", "eos", Timings())


@pytest.mark.parametrize("more", [(), ("--parallel", "2")], ids=["alone", "side by side"])
def test_what_the_template_is_told_reaches_every_answer(environment, smollm2, more):
    command = [sys.executable, "-m", "llamachat", *CHAT, "-m", str(smollm2), "-n", "1", "-p", "?", *more, "-o", "json"]

    def n_prompt(reasoning):
        done = subprocess.run([*command, "--reasoning", reasoning], env=environment, capture_output=True, check=True)
        return [json.loads(line)["timings"]["n_prompt"] for line in done.stdout.splitlines()]

    assert n_prompt("show") == [1] * (len(more) or 1)
    assert n_prompt("off") == [2] * (len(more) or 1)


def test_prompts_come_from_standard_input(llamachat):
    shown = llamachat("run", "--prompts", "-", "--dry-run", stdin=b'"one "\n{"prompt": "two "}\n').stdout.decode()
    assert re.findall("prompt\n<s>(.*)", shown) == ["one ", "two "]
    wrong = llamachat("run", "--prompts", "-", stdin=b'"one"\n7\n')
    assert (wrong.returncode, b"--prompts, standard input, line 2: a JSON string" in wrong.stderr) == (2, True)
