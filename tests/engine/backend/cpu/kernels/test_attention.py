"""Attention over caches of every type against float64 NumPy, and the same bits however tokens are cut or shared."""

from dataclasses import dataclass

import numpy as np
import pytest
from cache_rows import rounded, rounded_query
from machine import Array, Machine, poisoned, rows_of

from llamachat.engine.backend.cpu.kernels.attention import Attention, AttentionMerge, AttentionParts
from llamachat.engine.backend.cpu.kernels.attention_item import NO_WINDOW, Heads, part_bytes, query_rows
from llamachat.engine.backend.cpu.kernels.cache import StoreKeys, StoreValues
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS, CHUNK
from llamachat.engine.backend.cpu.lower.attention import QUERY_ROWS

N_CTX = 2 * CHUNK
OTHERS = 192  # bytes of a chunk that belong to other layers
GAP = 24  # floats between rows that belong to nobody


@dataclass(frozen=True)
class Shape:
    """Heads and cache of a layer."""

    head_dim: int
    n_head: int = 2
    n_head_kv: int = 2
    types: tuple[str, str] = ("f32", "f32")
    window: int = 0
    own_value_dim: int = 0
    chunk: int = 0
    cap: float = 0.0
    slopes: bool = False
    sinks: bool = False
    together: int = 0  # latent attention: heads of an item
    bias: bool = False

    @property
    def value_dim(self) -> int:
        return self.own_value_dim or self.head_dim

    @property
    def heads(self) -> Heads:
        size = self.head_dim, self.value_dim, self.together or self.n_head // self.n_head_kv
        special = bool(self.cap), self.slopes, bool(self.chunk), self.bias, bool(self.together)
        return Heads(*size, *self.types, *special)

    @property
    def row_bytes(self) -> tuple[int, ...]:
        dims = (self.head_dim, self.value_dim)
        return tuple(CACHE_FORMATS[name].row_bytes(dim) for name, dim in zip(self.types, dims, strict=True))


SHAPES = [
    pytest.param(Shape(4), id="heads of 4"),
    pytest.param(Shape(16, 6, 2, ("f16", "f16")), id="heads of 16, three a key"),
    pytest.param(Shape(64, 9, 3, ("f16", "f16")), id="heads of 64, as SmolLM2"),
    pytest.param(Shape(80, 2, 1), id="heads of 80"),
    pytest.param(Shape(128, 8, 1), id="heads of 128, eight a key"),
    pytest.param(Shape(256, 4, 1, ("f16", "f16")), id="heads of 256, as Gemma"),
    pytest.param(Shape(16, 4, 4, ("f16", "f16"), 1), id="a window of 1"),
    pytest.param(Shape(16, 4, 2, window=7), id="a window of 7"),
    pytest.param(Shape(8, 13, 1, window=256), id="a window of a chunk, thirteen a key"),
    pytest.param(Shape(32, 2, 2, ("f16", "f32"), 270), id="a window over a border"),
    pytest.param(Shape(12, 2, 2, ("bf16", "bf16")), id="bf16"),
    pytest.param(Shape(64, 9, 3, ("q8_0", "q8_0")), id="q8_0"),
    pytest.param(Shape(32, 2, 2, ("q4_0", "q4_1"), 9), id="q4_0 keys, q4_1 values"),
    pytest.param(Shape(96, 4, 2, ("q5_0", "q5_1")), id="q5_0 keys, q5_1 values"),
    pytest.param(Shape(64, 2, 1, ("q4_1", "iq4_nl")), id="q4_1 keys, iq4_nl values"),
    pytest.param(Shape(32, 2, 1, ("iq4_nl", "q4_0")), id="iq4_nl keys, q4_0 values"),
    pytest.param(Shape(32, 3, 1, ("q5_1", "q5_0")), id="q5_1 keys, q5_0 values"),
    pytest.param(Shape(48, 4, 2, own_value_dim=80), id="values wider than keys"),
    pytest.param(Shape(96, 5, 1, ("q8_0", "f16"), 9, own_value_dim=16), id="values narrower than keys in blocks"),
    pytest.param(Shape(576, 4, 1, ("f16", "q4_0"), own_value_dim=512), id="keys of 576 and values of 512, as MLA"),
    pytest.param(Shape(16, 4, 2, chunk=7), id="chunks of 7"),
    pytest.param(Shape(32, 10, 2, ("f16", "q8_0"), chunk=37), id="chunks of 37, five a key"),
    pytest.param(Shape(64, 3, 1, ("q8_0", "f16"), chunk=256), id="chunks of a chunk"),
    pytest.param(Shape(32, 2, 2, ("f16", "f16"), 9, chunk=20), id="a window in chunks"),
    pytest.param(Shape(256, 4, 2, ("q8_0", "q4_0"), 30, cap=50.0), id="a soft cap and a window, as Gemma 2"),
    pytest.param(Shape(32, 6, 1, ("q4_0", "f16"), slopes=True), id="slopes, six a key"),
    pytest.param(Shape(64, 8, 1, ("q8_0", "q8_0"), 33, sinks=True), id="sinks and a window, as gpt-oss"),
    pytest.param(Shape(8, 13, 1, ("f16", "f16"), 40, 0, 70, 3.0, True, True), id="everything"),
    pytest.param(Shape(16, 3, 1, ("f16", "f16"), bias=True), id="a bias of distances"),
    pytest.param(Shape(32, 6, 2, ("q8_0", "f32"), bias=True), id="a bias of distances, three a key"),
    pytest.param(Shape(576, 16, 1, ("f16", "f16"), own_value_dim=512, together=16), id="latents, as DeepSeek 2 Lite"),
    pytest.param(Shape(12, 6, 1, own_value_dim=9, together=3), id="latents of 9"),
    pytest.param(Shape(64, 4, 1, ("bf16", "bf16"), own_value_dim=60, together=2), id="latents, bf16"),
    pytest.param(Shape(96, 8, 1, ("q8_0", "q8_0"), own_value_dim=64, together=8), id="latents, q8_0"),
    pytest.param(Shape(64, 2, 1, ("q4_0", "q4_0"), own_value_dim=48, together=2), id="latents, q4_0, within a block"),
    pytest.param(Shape(64, 2, 1, ("q4_1", "q4_1"), own_value_dim=32, together=1), id="latents, q4_1"),
    pytest.param(Shape(64, 2, 1, ("q5_0", "q5_0"), own_value_dim=32, together=2), id="latents, q5_0"),
    pytest.param(Shape(64, 2, 1, ("q5_1", "q5_1"), own_value_dim=32, together=2), id="latents, q5_1"),
    pytest.param(Shape(64, 2, 1, ("iq4_nl", "iq4_nl"), own_value_dim=32, together=2), id="latents, iq4_nl"),
]
QUICK = (
    *("heads of 4", "heads of 16, three a key", "a window of 7", "a window over a border", "bf16", "everything"),
    *("q4_0 keys, q4_1 values", "q5_0 keys, q5_1 values", "iq4_nl keys, q4_0 values", "chunks of 7", "latents, q8_0"),
    *(
        "values narrower than keys in blocks",
        "slopes, six a key",
        "a bias of distances",
        "latents of 9",
        "latents, bf16",
    ),
)
"""Shapes that stand for all where code has no instructions for vectors: LLVM takes seconds for each."""


@pytest.fixture(params=SHAPES)
def shape(machine: Machine, request: pytest.FixtureRequest) -> Shape:
    """Of all shapes, those that are tried on a machine."""
    if machine.isa.name == "generic" and request.node.callspec.id.partition("-")[2] not in QUICK:
        pytest.skip("others stand for it where LLVM takes long")
    return request.param


class Layer:
    """Random queries, keys and values of n tokens, and a cache of which nothing is written yet."""

    def __init__(self, shape: Shape, n_tokens: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.shape, self.n_tokens = shape, n_tokens
        self.q, self.k, self.v = (
            rng.standard_normal((n_tokens, heads, dim)).astype(np.float32)
            for heads, dim in (
                (shape.n_head, shape.head_dim),
                (shape.n_head_kv, shape.head_dim),
                (shape.n_head_kv, shape.value_dim),
            )
        )
        self.q *= 3
        self.bias = rng.standard_normal((shape.n_head, N_CTX)).astype(np.float32)  # [.., distance from key to query]
        self.slopes, self.sinks = (rng.uniform(*ends, shape.n_head).astype(np.float32) for ends in ((0, 1), (-4, 8)))
        sizes = [CHUNK * shape.n_head_kv * row for row in shape.row_bytes]
        self.values_at = -(-sizes[0] // 64) * 64
        self.chunk_bytes = self.values_at + sizes[1] + OTHERS
        self.cache = Array(np.full(N_CTX // CHUNK * self.chunk_bytes, 0xFF, np.uint8))

    def exact(self) -> np.ndarray:
        """In float64; keys and values rounded as the cache rounds them, queries as the keys' type asks for it."""
        shape = self.shape
        k, v = (
            np.repeat(rounded(name, x), shape.n_head // shape.n_head_kv, 1)
            for name, x in zip(shape.types, (self.k, self.v), strict=True)
        )
        if shape.together:
            v = k[..., -shape.value_dim :]
        scores = np.einsum("qhd,khd->hqk", rounded_query(shape.types[0], self.q), k) * shape.head_dim**-0.5
        if shape.cap:
            scores = shape.cap * np.tanh(scores / shape.cap)
        place = np.arange(self.n_tokens)
        distance = place[:, None] - place
        if shape.slopes:
            scores -= self.slopes.astype(np.float64)[:, None, None] * distance
        if shape.bias:
            scores += self.bias[:, np.maximum(distance, 0)]
        hidden = (distance < 0) | ((distance >= shape.window) if shape.window else False)
        if shape.chunk:
            hidden |= place[:, None] // shape.chunk != place // shape.chunk
        scores = np.where(hidden, -np.inf, scores)
        sinks = self.sinks.astype(np.float64)[:, None, None] if shape.sinks else -np.inf
        top = np.maximum(scores.max(-1, keepdims=True), sinks)
        weights = np.exp(scores - top)
        return np.einsum("hqk,khd->qhd", weights / (weights.sum(-1, keepdims=True) + np.exp(sinks - top)), v)

    def evaluate(self, machine: Machine, pieces: tuple[int, ...], threads: int = 1) -> np.ndarray:
        """Stores and attends piece by piece, single tokens apart; nothing that was not stored may be read."""
        assert sum(pieces) == self.n_tokens
        results, n_past = [], 0
        for n in pieces:
            results.append(step(machine, [(self, n_past + i) for i in range(n)], n > 1, threads))
            n_past += n
        return np.concatenate(results)


def step(machine: Machine, tokens: list[tuple[Layer, int]], run: bool, threads: int = 1) -> np.ndarray:
    """Evaluates tokens, each at a cell of a layer's cache; run: they are neighbours in one."""
    shape, n = tokens[0][0].shape, len(tokens)
    q, k, v = (Array(spread(np.stack([getattr(one, name)[cell] for one, cell in tokens]))) for name in "qkv")
    cells = np.array([cell for _, cell in tokens])
    rows = rows_of(np.array([one.cache.address for one, _ in tokens]), cells, cells)
    values_at = tokens[0][0].values_at
    size = {"n_head_kv": shape.n_head_kv, "chunk_bytes": tokens[0][0].chunk_bytes, "n_chunks": N_CTX // CHUNK}
    facts = {"n_tokens": n, "rows": rows.address}
    stored: list[tuple[StoreValues, Array, int]] = [(StoreKeys(shape.head_dim, shape.types[0]), k, 0)]
    if not shape.together:
        stored.append((StoreValues(shape.value_dim, shape.types[1]), v, values_at))
    for spec, x, at in stored:
        arguments = {"x": x.address, "at": at, "stride": 4 * x.values.shape[1], **size}
        machine.run(spec, arguments, threads, **facts)
    width = shape.n_head * shape.value_dim
    y = poisoned(n, width + GAP)
    read: dict[str, int | float] = {"q": q.address, "keys": 0, "values": values_at, **size}
    read |= {"q_stride": 4 * q.values.shape[1], "scale": shape.head_dim**-0.5, "window": shape.window or NO_WINDOW}
    slopes, sinks = (Array(one) for one in (tokens[0][0].slopes, tokens[0][0].sinks))
    table = np.hstack([tokens[0][0].bias[:, ::-1], np.full((shape.n_head, CHUNK), np.nan)]) * np.log2(np.e)
    bias = Array(table.astype(np.float32))
    read |= {"bias": bias.address, "bias_bytes": 4 * bias.values.shape[1], "bias_zero": 4 * (N_CTX - 1), "counter": 0}
    if shape.together:
        read["n_head_kv"] = shape.n_head // shape.together
    read |= {"chunk": shape.chunk or NO_WINDOW, "cap": shape.cap, "slopes": slopes.address, "sinks": sinks.address}
    (attend_run if run else attend_apart)(machine, shape, read, y, threads, facts)
    assert all(array.intact() for array in (q, k, v, y, *(one.cache for one, _ in tokens)))
    assert np.isnan(y.values[:, width:]).all()
    return y.values[:, :width].reshape(n, shape.n_head, shape.value_dim)


def attend_run(
    machine: Machine, shape: Shape, read: dict[str, int | float], y: Array, threads: int, facts: dict[str, int]
) -> None:
    rows = max(1, QUERY_ROWS // shape.heads.n_group), query_rows(shape.heads, machine.isa)
    spec = Attention(shape.heads, *rows, shape.sinks)
    scratch = Array(np.full(spec.scratch_bytes * threads, 0xFF, np.uint8))
    arguments = {
        **read,
        "y": y.address,
        "y_stride": 4 * y.values.shape[1],
        "scratch": scratch.address,
        "room": spec.scratch_bytes,
    }
    machine.run(spec, arguments, threads, **facts)
    assert scratch.intact()


def attend_apart(
    machine: Machine, shape: Shape, read: dict[str, int | float], y: Array, threads: int, facts: dict[str, int]
) -> None:
    spec = AttentionParts(shape.heads, query_rows(shape.heads, machine.isa))
    scratch = Array(np.full(spec.scratch_bytes * threads, 0xFF, np.uint8))
    room = part_bytes(shape.value_dim) * shape.n_head * (N_CTX // CHUNK)
    parts = Array(np.full(room * len(y.values), 0xFF, np.uint8))
    kept = {"parts": parts.address, "part_room": room}
    machine.run(spec, {**read, **kept, "scratch": scratch.address, "room": spec.scratch_bytes}, threads, **facts)
    merged: dict[str, int | float] = {"y": y.address, "stride": 4 * y.values.shape[1], "n_head": shape.n_head, **kept}
    merged |= {name: read[name] for name in ("window", "chunk", "sinks", "counter")}
    machine.run(AttentionMerge(shape.value_dim, bool(shape.chunk), shape.sinks), merged, threads, **facts)
    assert scratch.intact()
    assert parts.intact()


def spread(x: np.ndarray) -> np.ndarray:
    """Rows [n, heads * dim] with a gap of NaN behind each."""
    flat = x.reshape(len(x), -1)
    return np.concatenate([flat, np.full((len(x), GAP), np.nan, np.float32)], 1)


def test_attention_equals_numpy(machine: Machine, shape: Shape) -> None:
    layer = Layer(shape, 300)
    found, exact = layer.evaluate(machine, (300,), 2), layer.exact()
    # The scale of iq4_nl is a quotient of sums, which float32 may round to another float16. Weights of values in blocks
    # are rounded to 15 bits: an error of 2^-16 of the largest for each cell.
    in_blocks = shape.types[1] not in ("f32", "f16", "bf16")
    tolerance = 1e-3 if in_blocks or "iq4_nl" in shape.types else 2e-5
    np.testing.assert_allclose(found, exact, atol=tolerance, rtol=1e-4)
    assert ((found - exact) ** 2).sum() < 1e-7 * (exact**2).sum()


def test_pieces_change_no_bit(machine: Machine, shape: Shape) -> None:
    whole = Layer(shape, 300).evaluate(machine, (300,))
    np.testing.assert_array_equal(Layer(shape, 300).evaluate(machine, (250, 1, 5, 1, 13, 30)), whole)
    np.testing.assert_array_equal(Layer(shape, 300).evaluate(machine, (*(1,) * 20, 220, *(1,) * 60)), whole)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(machine: Machine, threads: int) -> None:
    shape = Shape(64, 9, 3, ("f16", "f16"))
    whole = Layer(shape, 270).evaluate(machine, (270,))
    np.testing.assert_array_equal(Layer(shape, 270).evaluate(machine, (255, 1, 13, 1), threads), whole)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("window", [0, 40])
def test_sequences_beside_each_other_change_no_bit(machine: Machine, window: int, threads: int) -> None:
    shape = Shape(32, 6, 2, ("f16", "q8_0"), window)
    lengths = (260, 3, 77)
    alone = [Layer(shape, n, seed=n).evaluate(machine, (n - 1, 1))[-1] for n in lengths]
    layers = [Layer(shape, n, seed=n) for n in lengths]
    for layer, n in zip(layers, lengths, strict=True):
        step(machine, [(layer, i) for i in range(n - 1)], run=True)
    together = step(machine, [(layer, n - 1) for layer, n in zip(layers, lengths, strict=True)], False, threads)
    np.testing.assert_array_equal(together, np.stack(alone))


def test_large_scores_do_not_overflow(machine: Machine) -> None:
    layer = Layer(Shape(16), 40)
    layer.q *= 1000
    np.testing.assert_allclose(layer.evaluate(machine, (40,)), layer.exact(), atol=2e-3)


@pytest.mark.parametrize("types", [("f16", "f16"), ("q8_0", "q8_0"), ("q5_1", "iq4_nl")])
def test_values_too_large_for_the_cache_reach_no_earlier_token(machine: Machine, types: tuple[str, str]) -> None:
    whole, single = (Layer(Shape(32, 2, 1, types), 20) for _ in range(2))
    for layer in (whole, single):
        layer.v[9] *= 1e6
    found = whole.evaluate(machine, (20,))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, single.evaluate(machine, (1,) * 20))


def test_a_query_that_is_no_number_gives_none(machine: Machine) -> None:
    layer = Layer(Shape(16), 20)
    layer.q[7, 1, 3] = np.nan
    found = layer.evaluate(machine, (20,))
    assert np.isnan(found[7, 1]).all()
    assert np.isfinite(np.delete(found, 7, 0)).all()


@pytest.mark.parametrize("name", ["f16", "q8_0", "q4_0", "q4_1"])
def test_values_that_are_no_numbers_give_none(machine: Machine, name: str) -> None:
    layer = Layer(Shape(32, types=("f16", name)), 40)
    layer.v[7, 1] = np.nan
    found = layer.evaluate(machine, (7, 33))
    assert np.isnan(found[7:, 1]).all()
    assert np.isfinite(found[:, 0]).all()
    assert np.isfinite(found[:7]).all()


@pytest.mark.parametrize("pieces", [(5,), (1, 1, 1, 1, 1), (2, 3)], ids=["a run", "apart", "both"])
@pytest.mark.parametrize("lowest", [-1e32, -1e30, -2e30])
def test_scores_below_a_masked_one_s_are_no_numbers(machine: Machine, pieces: tuple[int, ...], lowest: float) -> None:
    """Else keys that are not seen would count, and a token would depend on those after it."""
    layer = Layer(Shape(4), sum(pieces))
    layer.q[:], layer.k[:] = 0, 0
    layer.q[..., 0], layer.k[..., 0] = -1, -lowest * 4**0.5
    layer.k[-1, :, 0] = 1  # the last token sees one key that is as usual
    found = layer.evaluate(machine, pieces)
    assert np.isnan(found[:-1]).all()
    np.testing.assert_array_equal(found[-1], layer.v[-1])
