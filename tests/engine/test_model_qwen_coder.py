"""Qwen2.5-Coder 0.5B, where `llamachat pull qwen2.5-coder` has put it: llama.cpp's figures, its own chat, gaps in code.

The file has 491 MB, so nothing fetches it for the tests.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamachat import Model
from llamachat.catalog.known import QWEN25_CODER
from llamachat.catalog.paths import models_folder
from llamachat.dialogue.prompts import chat_tokens
from llamachat.engine.context import Context
from llamachat.engine.generate import Token

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def reference(golden: Path) -> dict[str, Any]:
    path = golden / "real" / f"{Path(QWEN25_CODER.file).stem}.json"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    path = models_folder() / QWEN25_CODER.file
    if not path.is_file():
        pytest.skip(f"{path} is not here: `llamachat pull qwen2.5-coder` fetches it")
    with Model(path, 2, cache_type="f32") as opened:
        yield opened


def log_probability(logits: np.ndarray, token: int) -> float:
    exact = logits.astype(np.float64)
    return float(exact[token] - exact.max() - np.log(np.exp(exact - exact.max()).sum()))


def scores(context: Context, ids: list[int]) -> np.ndarray:
    """Log-probability of every token after those before it."""
    context.truncate(0)
    rows = context.eval(ids[:-1], "all")
    return np.array([log_probability(row, token) for row, token in zip(rows, ids[1:], strict=True)])


def texts(reference: dict[str, Any]) -> list[dict[str, Any]]:
    return [*reference["texts"], *reference["chat"]]


def test_its_tokens_are_those_of_llama_cpp(model: Model, reference: dict[str, Any]) -> None:
    for one in reference["texts"]:
        assert model.tokenize(one["text"]) == one["ids"]
    for one in reference["chat"]:
        assert model.tokenize(one["prompt"], parse_special=True) == one["ids"]


def test_it_is_no_further_from_exact_than_llama_cpp(model: Model, reference: dict[str, Any]) -> None:
    context = model.context(512)
    for one in texts(reference):
        exact, theirs = (np.array(one[name]["logprobs"]) for name in ("f32", "as_is"))
        assert np.abs(scores(context, one["ids"]) - exact).mean() <= np.abs(theirs - exact).mean()


def test_it_continues_like_the_reference_until_two_tokens_are_equally_likely(
    model: Model, reference: dict[str, Any]
) -> None:
    context = model.context(512)
    for one in texts(reference):
        expected, margins = one["f32"]["greedy"], one["f32"]["greedy_margin"]
        n = next((i for i, margin in enumerate(margins) if margin < 0.05), len(margins))
        assert n > 10
        context.truncate(0)
        logits, found = context.eval(one["ids"]), []
        for _ in range(n):
            found.append(int(logits.argmax()))
            logits = context.eval(found[-1:])
        assert found == expected[:n]


def answered(events: Any) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def test_it_answers_in_a_chat_of_its_own_template(model: Model) -> None:
    assert model.chat_template is not None
    question = [{"role": "user", "content": "What is the capital of France? One word."}]
    assert "Paris" in answered(model.chat(question, max_tokens=12, temp=0))


def test_it_writes_a_call_of_a_tool_in_its_own_template(model: Model) -> None:
    """Without the marks that its template asks for, as small models do: the program takes it for text."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    weather = {"name": "get_weather", "description": "The weather in a city now.", "parameters": parameters}
    messages = [{"role": "user", "content": "What is the weather in Paris now?"}]
    tools = [{"type": "function", "function": weather}]
    ids = chat_tokens(model.tokenizer, model.template, messages, tools)
    assert "get_weather" in model.detokenize(ids)
    answer = answered(model.generate(ids, max_tokens=40, temp=0))
    assert '"name": "get_weather"' in answer
    assert '"city": "Paris' in answer


def test_it_fills_in_the_middle(model: Model) -> None:
    filled = answered(model.infill("def add(a, b):\n    return", "\n\n\nprint(add(1, 2))\n", max_tokens=12, temp=0))
    assert filled.strip().startswith("a + b")
