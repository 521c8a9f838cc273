"""How fast an answer came."""

import pytest

from llamachat.engine.generate import Stop, Token
from llamachat.terminal import statistics
from llamachat.terminal.statistics import Statistics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(statistics.time, "perf_counter", lambda: now[0])
    return now


def watched(clock: list[float], **counts: int) -> Statistics:
    """An answer of three tokens: two seconds for the prompt, then half a second each."""

    def events():
        for seconds, event in (
            (2.0, Token("a", 1)),
            (0.5, Token("b", 2)),
            (0.5, Token("c", 3)),
            (0.0, Stop("", "eos")),
        ):
            clock[0] += seconds
            yield event

    found = Statistics(started=0.0, **counts)
    assert "".join(event.text for event in found.watch(events())) == "abc"
    return found


def test_the_prompt_lasts_until_the_first_event(clock):
    assert str(watched(clock, n_prompt=100)) == (
        "[prompt 100 tokens in 2.00 s, 50 tokens/s; answer 3 tokens in 1.00 s, 2 tokens/s]"
    )


def test_tokens_that_were_known_count_for_no_speed(clock):
    assert "prompt 100 tokens (90 known) in 2.00 s, 5 tokens/s" in str(watched(clock, n_prompt=100, n_known=90))


def test_an_answer_that_never_began_has_no_speed():
    assert str(Statistics(7, started=0.0)) == "[prompt 7 tokens in 0.00 s; no answer]"
