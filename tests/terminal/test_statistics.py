"""What an answer took, as a line, as a table and as a mapping."""

from dataclasses import asdict, replace

import pytest

from llamachat.dialogue.figures import record
from llamachat.engine.events import Timings
from llamachat.terminal.statistics import line, report

PLAIN = Timings(n_prompt=100, prompt_s=2.0, n_generated=3, generation_s=1.0, sampling_s=0.006, n_past=102)


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        (PLAIN, "[prompt 100 tokens in 2.00 s, 50 tokens/s; answer 3 tokens in 1.00 s, 2 tokens/s]"),
        (replace(PLAIN, n_known=60), "[prompt 100 tokens (60 known) in 2.00 s, 20 tokens/s; answer 3 tokens in 1.00 s, "
                                     "2 tokens/s]"),
        (replace(PLAIN, n_drafted=8, n_accepted=5), "[prompt 100 tokens in 2.00 s, 50 tokens/s; answer 3 tokens in "
                                                    "1.00 s, 2 tokens/s, 5 of 8 guesses right]"),
        (Timings(n_prompt=4), "[prompt 4 tokens in 0.00 s; no answer]"),
        (Timings(n_prompt=4, n_generated=1), "[prompt 4 tokens in 0.00 s; answer 1 tokens in 0.00 s]"),
    ],
)  # fmt: skip
def test_a_line_says_what_one_looks_at(timings: Timings, expected: str) -> None:
    assert line(timings) == expected


def test_a_report_has_a_line_for_each_part() -> None:
    timings = replace(PLAIN, n_known=60, n_drafted=8, n_accepted=6, n_forgotten=40)
    assert report(timings, 0.4, 512).splitlines() == [
        "load        0.40 s",
        "prompt      40 tokens in 2.00 s, 20 tokens/s, 60 known already",
        "generation  3 tokens in 1.00 s, 2 tokens/s",
        "sampling    0.01 s of it, 2.00 ms a token",
        "guesses     6 of 8 right (75%)",
        "context     102 of 512 tokens, 40 older ones forgotten",
    ]


def test_figures_of_a_record_have_four_decimals() -> None:
    found = record(replace(PLAIN, prompt_s=1 / 3, sampling_s=2e-5), 2 / 3, 512)
    assert (found["load_s"], found["prompt_s"], found["sampling_s"]) == (0.6667, 0.3333, 0)
    assert found["prompt_per_s"] == 300
    assert isinstance(found["n_prompt"], int)


def test_a_record_has_every_figure() -> None:
    found = record(PLAIN, 0.4, 512)
    assert found.items() >= asdict(PLAIN).items()
    assert (found["prompt_per_s"], found["generation_per_s"], found["load_s"], found["n_ctx"]) == (50, 2, 0.4, 512)
    assert record(Timings(), 0, 1)["generation_per_s"] == 0
