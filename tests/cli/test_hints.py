"""The engine names no options; the command line adds them."""

import re
from pathlib import Path

import pytest

from llamachat.cli.hints import HINTS, hinted
from llamachat.errors import ContextFull, LlamaChatError, NotEnoughMemory, UsageError

ENGINE = Path(__file__).parents[2] / "llamachat" / "engine"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ContextFull("the prompt has 9 tokens, but the context holds 8"), "holds 8 (-c N)"),
        (NotEnoughMemory("a context of 256 tokens would fit"), "would fit (-c N)"),
        (NotEnoughMemory("not even 256 tokens fit"), "not even 256 tokens fit"),
        (UsageError("-c N: the context is full"), "-c N: the context is full"),
        (ContextFull("use a larger context (--ctx-size)"), "larger context (--ctx-size)"),
        (UsageError("logit_bias '5': write TOKEN+BIAS"), "write TOKEN+BIAS (--logit-bias)"),
        (UsageError("samplers: there is no sampler named 'a'"), "named 'a' (--samplers)"),
        (LlamaChatError("anything else"), "anything else"),
    ],
)
def test_an_error_is_told_with_the_options_that_it_is_about(error, said):
    assert hinted(error).endswith(said)


@pytest.mark.parametrize(("words", "_options"), [(words, options) for _, words, options in HINTS])
def test_each_hint_is_for_words_that_the_engine_says(words, _options):
    assert any(words in path.read_text("utf-8") for path in ENGINE.rglob("*.py"))


def test_sentences_of_the_engine_about_contexts_and_memory_name_no_option():
    for name in ("context.py", "generate.py", "memory.py", "parallel.py", "speculation/draft.py", "../library.py"):
        assert not re.search(r"--[a-z]", (ENGINE / name).read_text("utf-8")), name
