"""Scores of a text."""

import json
import math

import numpy as np
import pytest

from llamachat.engine.perplexity import score
from llamachat.errors import ModelFileError, UsageError

N_VOCAB = 50


class CountingContext:
    """A context whose logits depend on all tokens before, and which remembers its windows."""

    can_shift = needs_checkpoints = False

    def __init__(self, n_ctx: int) -> None:
        self.n_ctx = n_ctx
        self.tokens: list[int] = []
        self.windows: list[list[int]] = []
        self.owner: object = None

    @property
    def n_reusable(self) -> int:
        return len(self.tokens)

    def reachable(self, n_past: int) -> int:
        return n_past

    def rewind(self, n_past: int) -> int:
        assert n_past == 0
        self.tokens = []
        self.windows.append(self.tokens)
        return 0

    def resume(self) -> None:
        pass

    def checkpoint(self, passing: bool = False) -> None:
        pass

    def eval(self, tokens, logits="last", progress=None):
        assert len(self.tokens) + len(tokens) <= self.n_ctx
        rows = []
        for token in tokens:
            self.tokens.append(token)
            rows.append(self.logits())
        return np.array(rows) if logits == "all" else rows[-1]

    def logits(self) -> np.ndarray:
        return np.random.default_rng(self.tokens).normal(size=N_VOCAB).astype(np.float32)


def expected_loss(history: list[int], token: int) -> float:
    context = CountingContext(1000)
    context.tokens = history
    logits = context.logits().astype(np.float64)
    return float(np.log(np.exp(logits).sum()) - logits[token])


def text(n: int) -> list[int]:
    return [int(t) for t in np.random.default_rng(1).integers(1, N_VOCAB, n)]


def test_a_text_that_fits_is_scored_as_a_whole():
    ids = text(200)
    found = score(CountingContext(200), ids)
    expected = np.mean([expected_loss(ids[: n + 1], ids[n + 1]) for n in range(199)])
    assert found.n_scored == 199
    assert found.mean_nll == pytest.approx(expected, rel=1e-9)
    assert found.perplexity == pytest.approx(math.exp(expected), rel=1e-9)


@pytest.mark.parametrize(("n_ctx", "stride"), [(100, None), (100, 30), (70, 69), (2, 1)])
def test_every_token_of_a_long_text_is_scored_once_after_enough_history(n_ctx, stride):
    ids = text(233)
    found = score(CountingContext(n_ctx), ids, stride=stride)
    losses, start, scored, step = [], 0, 1, stride or n_ctx // 2
    while scored < len(ids):
        end = min(start + n_ctx, len(ids))
        losses += [expected_loss(ids[start:n], ids[n]) for n in range(scored, end)]
        scored, start = end, start + step
    assert found.n_scored == len(ids) - 1
    assert found.mean_nll == pytest.approx(np.mean(losses), rel=1e-9)


def test_every_window_begins_with_the_begin_token_of_the_text():
    context = CountingContext(20)
    score(context, [0, *text(50)], bos=0)
    assert len(context.windows) > 2
    assert {window[0] for window in context.windows} == {0}


@pytest.mark.parametrize("ids", [[], [3]], ids=["nothing", "one token"])
def test_a_text_without_a_second_token_is_refused(ids):
    with pytest.raises(UsageError, match="fewer than two tokens"):
        score(CountingContext(10), ids)


@pytest.mark.parametrize("stride", [0, 10, 11])
def test_a_stride_that_skips_tokens_is_refused(stride):
    with pytest.raises(UsageError, match="stride"):
        score(CountingContext(10), text(30), stride=stride)


@pytest.mark.real
@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_real_models_score_the_reference_texts_as_exact_arithmetic_does(request, golden, name):
    from llamachat import Model

    path = request.getfixturevalue(name)
    texts = json.loads((golden / "real" / f"{path.stem}.json").read_text())["texts"]
    with Model(path) as model:
        found = [score(model.context(1024), model.tokenize(item["text"]), model.tokenizer.bos) for item in texts]
    expected = np.mean([item["f32"]["mean_nll"] for item in texts])
    assert [item.n_tokens for item in found] == [len(item["ids"]) for item in texts]
    assert math.exp(np.mean([item.mean_nll for item in found])) == pytest.approx(math.exp(expected), rel=0.005)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(value: float) -> None:
    class Broken(CountingContext):
        def logits(self) -> np.ndarray:
            found = super().logits()
            found[3] = value
            return found

    with pytest.raises(ModelFileError, match="scores are not numbers"):
        score(Broken(100), text(20))
