"""A text that outgrows its context: it ends, which is said, or its beginning is forgotten, which is said once."""

import pytest

from llamachat.cli.options import LengthChoice
from llamachat.dialogue.sinks import Discard
from llamachat.engine.events import Stop, Timings, Token
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.terminal.outgrowing import ShiftReporter, report_endings

LONG = "x" * 6000
"""More tokens than the scripted context of 4096 holds."""


@pytest.mark.parametrize(
    ("given", "endless", "shifts"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"n_predict": -1}, False, True),
        ({"n_predict": 100}, False, False),
        ({"n_predict": -2}, False, False),
        ({"keep": 5}, False, True),
        ({"n_predict": -1, "context_shift": False}, False, False),
        ({"context_shift": False}, True, False),
    ],
)
def test_old_tokens_are_forgotten_only_where_that_is_wanted(given, endless, shifts):
    options = LengthChoice(**given).options(SamplingOptions(), endless=endless)
    assert (options.n_keep is not None) == shifts


@pytest.mark.parametrize(
    "words", [("run", "Hi"), ("run", "-n", "5000", "Hi"), ("chat", "Hi"), ("chat", "--session", "s", "Hi")]
)
def test_a_script_s_text_ends_where_the_context_is_full(llamachat, words):
    done = llamachat(*words, answers=(LONG,))
    assert done.returncode == 0
    assert 3900 < len(done.stdout) < 4100
    assert done.stderr.count(b"context") == 1
    assert llamachat("run", "-q", "Hi", answers=(LONG,)).stderr == b""


def test_a_text_that_is_to_go_on_does_and_says_so_once(llamachat):
    done = llamachat("run", "--keep", "1", "-n", "5000", "Hi", answers=(LONG,))
    assert (done.returncode, len(done.stdout)) == (0, 5001)
    assert done.stderr.count(b"\n") == 1
    assert b"the oldest ones are forgotten" in done.stderr


def test_the_cut_fails_where_that_is_wanted(llamachat):
    assert llamachat("run", "--fail-on-length", "Hi", answers=(LONG,)).returncode == 5


def test_it_is_said_when_it_happens_and_not_before(capsys):
    reporter = ShiftReporter(Discard(), n_ctx=4, n_prompt=2, on_terminal=False)
    for _ in range(2):
        reporter.event(Token("x", 1))
    assert capsys.readouterr().err == ""
    for _ in range(3):
        reporter.event(Token("x", 1))
    reporter.event(Stop("", "cancelled", Timings(n_forgotten=2)))
    assert capsys.readouterr().err.count("\n") == 1


def test_several_texts_are_told_together(capsys):
    ended = [Stop("", "context", Timings()), Stop("", "eos", Timings()), Stop("", "length", Timings(n_forgotten=3))]
    report_endings(ended, 512)
    said = capsys.readouterr().err.splitlines()
    assert [line[:9] for line in said] == ["(1 of 3 t", "(1 of 3 t"]
