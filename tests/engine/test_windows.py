"""Layers with a window keep a ring of cells: to the bit as if they kept everything, and no where they cannot."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from windowed import ALL, NO_MARGIN, TOKENS, another, pair, windowed_gguf

from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.context import Context
from llamachat.engine.model import Model
from llamachat.engine.state.cache_types import CACHE_TYPES
from llamachat.engine.state.spec import KeyValueSpec, RecurrentSpec
from llamachat.engine.state.windows import MARGIN, Kept, Ring, ring_of
from llamachat.errors import Cancelled, UsageError

WINDOW, N_CTX, RING = 40, 2048, 768
PIECES = (512, 300, 1, 212, 7, 512, 256, 30, 1, 1)
"""Ends and crosses of the ring's 768 cells and of its chunks, in batches of all sizes: 1832 tokens."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Model(windowed_gguf(tmp_path_factory.mktemp("windows") / "model.gguf", WINDOW), 2) as loaded:
        yield loaded


def evaluate(context: Context, pieces: tuple[int, ...] = PIECES) -> np.ndarray:
    """All logits of the last tokens of every piece."""
    return np.stack([context.eval(TOKENS[context.n_past : context.n_past + n]) for n in pieces])


def same(one: Context, other: Context, n_tokens: int = 3) -> None:
    """Both evaluate the same next tokens to the same bits."""
    assert one.tokens == other.tokens
    n_tokens = min(n_tokens, one.n_ctx - one.n_past)
    found, wanted = (context.eval(TOKENS[:n_tokens], "all") for context in (one, other))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("cache_type", CACHE_TYPES)
def test_logits_are_to_the_bit_as_if_everything_were_kept(model: Model, cache_type: str) -> None:
    ring, whole = pair(model, N_CTX, cache_type=cache_type)
    assert ring.cache_bytes < whole.cache_bytes
    np.testing.assert_array_equal(evaluate(ring), evaluate(whole))
    assert ring.n_lost == sum(PIECES) - RING
    assert whole.n_lost == 0


@pytest.mark.parametrize("window", [1, 17, 100, 256, 257, 700])
def test_windows_of_all_lengths(tmp_path: Path, window: int) -> None:
    rng = np.random.default_rng(window)
    with Model(windowed_gguf(tmp_path / "model.gguf", window), 2, n_ctx=3000) as model:
        ring, whole = pair(model, 3000)
        while ring.n_past < 2400:
            n = int(rng.choice([1, 2, rng.integers(3, 40), rng.integers(40, 512), 512]))
            same(ring, whole, n)


def test_all_layers_may_have_a_window(tmp_path: Path) -> None:
    with Model(windowed_gguf(tmp_path / "model.gguf", WINDOW, (True, True)), 1, n_ctx=N_CTX) as model:
        ring, whole = pair(model, N_CTX)
        np.testing.assert_array_equal(evaluate(ring), evaluate(whole))
        assert ring.cache_bytes * N_CTX == whole.cache_bytes * RING


def test_several_sequences_together(model: Model) -> None:
    rings, wholes = [], []
    lengths = (1790, 12, 767, 768, 1500)
    first = pair(model, N_CTX)
    for n in lengths:
        for context, made in zip(first, (rings, wholes), strict=True):
            other = context.fork()
            other.eval(TOKENS[n : 2 * n])
            made.append(other)
    together = BatchDecoder()
    for step in range(4):
        tokens = [TOKENS[step + i : 2 * step + i + 1] for i in range(len(lengths))]
        np.testing.assert_array_equal(together.eval(rings, tokens), together.eval(wholes, tokens))


def test_forks_and_prefixes_are_the_same_sequence(model: Model) -> None:
    ring, whole = pair(model, N_CTX)
    for context in (ring, whole):
        evaluate(context)
    same(ring.fork(), whole.fork())
    n_near = ring.n_past - 500
    for n_tokens in (ring.n_past, n_near):
        one, other = (another(context) for context in (ring, whole))
        one.copy_prefix(ring, n_tokens)
        other.copy_prefix(whole, n_tokens)
        same(one, other)
    with pytest.raises(UsageError, match="900 tokens cannot be taken over"):
        another(ring).copy_prefix(ring, 900)


def test_it_goes_back_as_far_as_the_ring_reaches_and_to_the_beginning(model: Model) -> None:
    ring, whole = pair(model, N_CTX)
    for context in (ring, whole):
        evaluate(context)
    nearest = ring.n_lost + WINDOW - 1
    assert [ring.reachable(n) for n in (1832, 1831, nearest, nearest - 1, 700)] == [1832, 1831, nearest, 0, 0]
    with pytest.raises(UsageError, match=f"cannot go back to {nearest - 1} tokens: the model's state after them"):
        ring.truncate(nearest - 1)
    for context in (ring, whole):
        context.truncate(nearest)
    same(ring, whole, 200)
    assert ring.reachable(nearest - 1) == 0, "what was overwritten does not come back"
    assert ring.rewind(nearest - 1) == 0
    assert ring.n_lost == 0
    whole.truncate(0)
    np.testing.assert_array_equal(evaluate(ring), evaluate(whole))


def test_a_context_that_is_no_longer_than_the_ring_can_do_all_that_it_could(model: Model) -> None:
    ring, whole = pair(model, RING)
    assert ring.cache_bytes == whole.cache_bytes
    for context in (ring, whole):
        context.eval(TOKENS[:RING])
    assert ring.reachable(1) == 1
    ring.truncate(300)
    whole.truncate(300)
    same(ring, whole)


@pytest.mark.parametrize("cache_type", ["f16", "q8_0"])
@pytest.mark.parametrize(
    ("first", "last"),
    [(1, 2), (1, 900), (5, 1024), (4, 1060), (300, 1301), (700, 1700), (1064, 1065), (1500, 1501), (1832, 1832)],
)
def test_a_shift_is_to_the_bit_as_if_everything_were_kept(model: Model, first: int, last: int, cache_type: str) -> None:
    ring, whole = pair(model, N_CTX, cache_type=cache_type)
    for context in (ring, whole):
        evaluate(context)
        context.remove(first, last)
    assert ring.n_reusable == whole.n_reusable
    same(ring, whole, 600)
    for n in (200, 1):
        n_past = ring.reachable(ring.n_past - n)
        assert n_past
        for context in (ring, whole):
            context.truncate(n_past)
        same(ring, whole, 2)


def test_many_shifts(model: Model) -> None:
    rng = np.random.default_rng(0)
    ring, whole = pair(model, N_CTX)
    for _ in range(12):
        while ring.n_past < 1600:
            same(ring, whole, 400)
        first = int(rng.integers(0, 1200))
        last = int(rng.integers(first, 1600 - WINDOW))
        for context in (ring, whole):
            context.remove(first, last)
        same(ring, whole, 2)


def test_what_the_next_token_would_see_must_be_there_for_a_shift(model: Model) -> None:
    ring, _ = pair(model, N_CTX)
    evaluate(ring)
    n_past, held = ring.n_past, list(ring.tokens)
    assert ring.can_shift
    assert ring.shift_refusal(700, n_past - WINDOW + 1) == ""
    for first, last in ((700, n_past - WINDOW + 2), (700, n_past), (1, n_past)):
        with pytest.raises(UsageError, match=f"tokens {first} to {last} cannot be taken out: those before them"):
            ring.remove(first, last)
    assert ring.tokens == held
    ring.remove(0, n_past)
    assert (ring.tokens, ring.n_lost) == ([], 0)


def test_self_extend(model: Model) -> None:
    ring, whole = pair(model, N_CTX, self_extend=(4, 256))
    np.testing.assert_array_equal(evaluate(ring), evaluate(whole))
    for context in (ring, whole):
        context.truncate(1700)
    same(ring, whole, 300)


@pytest.mark.parametrize("n_tokens", [1832, 1300, 700])
def test_what_was_computed_can_be_kept_and_taken_over(model: Model, n_tokens: int) -> None:
    ring, whole = pair(model, N_CTX)
    for context in (ring, whole):
        context.eval(TOKENS[: n_tokens + 100])
    memory = ring.memory(n_tokens).copy()
    assert len(memory) == ring.bytes_of(n_tokens)
    other = model.context(N_CTX)
    assert other.layout != ring.layout, "another ring is another layout"
    other = another(ring)
    other.restore(TOKENS[:n_tokens], lambda room: np.copyto(room, memory), n_lost=ring.n_lost)
    whole.truncate(n_tokens)
    assert other.n_lost == ring.n_lost
    same(other, whole)
    other.restore(TOKENS[:n_tokens], lambda room: np.copyto(room, memory))
    assert other.reachable(n_tokens - 1) == 0, "nobody said what is there"
    ring.truncate(0)
    ring.eval(TOKENS[:900])
    with pytest.raises(UsageError, match="30 tokens cannot be kept: the model's state is that after 900"):
        ring.memory(30)


def test_a_smaller_context_takes_over_what_is_there(model: Model) -> None:
    ring, whole = pair(model, N_CTX)
    for context in (ring, whole):
        context.eval(TOKENS[:900])
    smaller, _ = pair(model, 512)
    smaller.take_over(ring)
    assert smaller.n_past == 512
    for context in (smaller, whole):
        context.truncate(500)
    same(smaller, whole)
    evaluate(ring, (900,))
    smaller.take_over(ring)
    assert smaller.n_past == 0, "the first 512 tokens are no longer there"


def test_a_step_that_was_stopped_has_written_its_cells(model: Model) -> None:
    ring, whole = pair(model, N_CTX)
    for context in (ring, whole):
        context.eval(TOKENS[:760])
    ring.cancel()
    with pytest.raises(Cancelled):
        ring.eval(TOKENS[760:1272])
    assert (ring.n_past, ring.n_lost) == (760, 1272 - RING)
    assert ring.reachable(400) == 0
    same(ring, whole, 512)


def test_as_many_tokens_as_can_be_forgotten_again_can_be_guessed(model: Model) -> None:
    ring, _ = pair(model, N_CTX)
    assert ring.n_ahead == RING
    evaluate(ring, (512, 512))
    assert ring.n_ahead == RING - WINDOW + 1
    n_past, n = ring.n_past, ring.n_ahead
    ring.eval(TOKENS[:n])
    assert ring.reachable(n_past) == n_past
    ring.eval(TOKENS[:1])
    assert ring.reachable(n_past) == 0


def test_the_plan_counts_rings(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    per_token = 2 * 2 * 32 * 2  # keys and values of two heads of 32 numbers in f16
    ring, sizes = -(-(WINDOW + 512 + MARGIN) // 256) * 256, []
    for margin in (MARGIN, ALL):
        monkeypatch.setattr("llamachat.engine.state.windows.MARGIN", margin)
        with Model(model.file.path, 1, n_ctx=8192) as planned:
            sizes.append((planned.plan.cache, planned.context().cache_bytes))
    assert [cache for _, cache in sizes] == [per_token * (8192 + 2 * ring), per_token * 3 * 8192]
    assert sizes[1][0] - sizes[0][0] == per_token * 2 * (8192 - ring)


def test_what_a_ring_keeps_is_the_longest_window_a_batch_and_the_margin() -> None:
    states = [KeyValueSpec(i, 1, 8, 8, window) for i, window in enumerate((0, 100, 300))]
    assert ring_of(states, 512, 256) == Ring(300, 2048)
    assert ring_of([states[0], RecurrentSpec(3, "scan", 1, 8)], 512, 256) is None
    assert MARGIN >= NO_MARGIN + 1024


def test_tokens_that_are_kept_are_those_that_a_model_of_it_says() -> None:
    """Against a dictionary of cells: random writes, truncations and removals."""
    rng = np.random.default_rng(0)
    ring = Ring(5, 16)
    for _ in range(200):
        kept, cells, n = Kept(ring), dict[int, int](), 0  # cells: what each cell of the ring holds
        text: list[int] = []
        for _ in range(20):
            move = rng.integers(0, 3)
            if move == 0:
                for _ in range(int(rng.integers(1, 12))):
                    text.append(n := n + 1)
                    cells[(len(text) - 1) % 16] = n
                kept.write(len(text))
            elif move == 1:
                place = int(rng.integers(0, len(text) + 1))
                held = all(cells.get(i % 16) == text[i] for i in range(max(0, place - 4), place))
                assert not kept.has(place) or held
                if kept.has(place):
                    text = text[:place]
                    kept.truncate(place)
            elif text:
                first, last = sorted(int(x) for x in rng.integers(0, len(text) + 1, 2))
                n_lost = kept.after_removal(first, last, len(text))
                if n_lost is not None:
                    moved = {i: cells.get(i % 16) for i in range(max(last, kept.n_lost), len(text))}
                    cells |= {(i - last + first) % 16: value for i, value in moved.items() if value is not None}
                    text, kept.n_lost = text[:first] + text[last:], n_lost
            assert all(cells[i % 16] == text[i] for i in range(kept.n_lost, len(text)))
            assert kept.has(len(text))


def test_numbers_of_a_file_are_not_believed_where_they_cannot_be() -> None:
    kept = Kept(Ring(5, 16))
    assert [kept.of_restored(40, n) for n in (None, -3, 0, 30, 39, 10**9)] == [36, 24, 24, 30, 36, 36]
    assert kept.of_restored(3, 10**9) == 0
    assert Kept(None).of_restored(40, None) == 0
