"""Attention over a cache against float64 NumPy, and the same bits however tokens are cut or shared."""

from dataclasses import dataclass

import numpy as np
import pytest
from machine import Array, Machine, poisoned

from llamachat.engine.kernels.attention import CACHE_BYTES, CHUNK, Attention, StoreCache
from llamachat.engine.kernels.norm import LANES
from llamachat.engine.runtime.lower import QUERY_ROWS

N_CTX = 2 * CHUNK
GAP = 24  # floats between rows that belong to nobody


@dataclass(frozen=True)
class Shape:
    """Heads and cache of a layer."""

    head_dim: int
    n_head: int = 2
    n_head_kv: int = 2
    cache_type: str = "f32"
    window: int = 0

    @property
    def n_group(self) -> int:
        return self.n_head // self.n_head_kv

    def spec(self, many: bool, block: int) -> Attention:
        tokens, heads = (max(1, QUERY_ROWS // self.n_group), self.n_group) if many else (1, 1)
        scale = self.head_dim**-0.5
        return Attention(self.head_dim, self.n_group, self.cache_type, scale, self.window, tokens, heads, block)


SHAPES = [
    pytest.param(Shape(4), id="heads of 4"),
    pytest.param(Shape(16, 6, 2, "f16"), id="heads of 16, three a key"),
    pytest.param(Shape(64, 9, 3, "f16"), id="heads of 64, as SmolLM2"),
    pytest.param(Shape(80, 2, 1, "f32"), id="heads of 80"),
    pytest.param(Shape(128, 8, 1, "f32"), id="heads of 128, eight a key"),
    pytest.param(Shape(256, 4, 1, "f16"), id="heads of 256, as Gemma"),
    pytest.param(Shape(16, 4, 4, "f16", 1), id="a window of 1"),
    pytest.param(Shape(16, 4, 2, "f32", 7), id="a window of 7"),
    pytest.param(Shape(8, 13, 1, "f32", 256), id="a window of a chunk, thirteen a key"),
    pytest.param(Shape(32, 2, 2, "f16", 270), id="a window over a border"),
]


class Layer:
    """Random queries, keys and values of n tokens, and a cache of which nothing is written yet."""

    def __init__(self, shape: Shape, n_tokens: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.shape, self.n_tokens = shape, n_tokens
        self.q, self.k, self.v = (
            rng.standard_normal((n_tokens, heads, shape.head_dim)).astype(np.float32)
            for heads in (shape.n_head, shape.n_head_kv, shape.n_head_kv)
        )
        self.q *= 3

    def exact(self) -> np.ndarray:
        """In float64; keys and values rounded as the cache rounds them."""
        shape = self.shape
        kind = np.float16 if shape.cache_type == "f16" else np.float32
        k, v = (np.repeat(x.astype(kind).astype(np.float64), shape.n_group, 1) for x in (self.k, self.v))
        scores = np.einsum("qhd,khd->hqk", self.q.astype(np.float64), k) * shape.head_dim**-0.5
        distance = np.arange(self.n_tokens)[:, None] - np.arange(self.n_tokens)
        hidden = (distance < 0) | ((distance >= shape.window) if shape.window else False)
        scores = np.where(hidden, -np.inf, scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return np.einsum("hqk,khd->qhd", weights / weights.sum(-1, keepdims=True), v)

    def evaluate(self, machine: Machine, pieces: tuple[int, ...], threads: int = 1) -> np.ndarray:
        """Stores and attends piece by piece; nothing that was not stored may be read."""
        assert sum(pieces) == self.n_tokens
        size = N_CTX * self.shape.n_head_kv * self.shape.head_dim
        keys, values = (Array(np.full(size * CACHE_BYTES[self.shape.cache_type], 0xFF, np.uint8)) for _ in range(2))
        results, n_past = [], 0
        for n in pieces:
            results.append(self._step(machine, keys, values, (n_past, n), threads))
            n_past += n
        assert keys.intact()
        assert values.intact()
        return np.concatenate(results)

    def _step(self, machine: Machine, keys: Array, values: Array, piece: tuple[int, int], threads: int) -> np.ndarray:
        n_past, n = piece
        shape = self.shape
        q, k, v = (Array(spread(x[n_past : n_past + n])) for x in (self.q, self.k, self.v))
        cached = {"keys": keys.address, "values": values.address, "n_head_kv": shape.n_head_kv, "n_ctx": N_CTX}
        stored = {"k": k.address, "v": v.address, **cached, "stride": 4 * k.values.shape[1]}
        machine.run(StoreCache(shape.head_dim, shape.cache_type), stored, threads, n_tokens=n, n_past=n_past)
        spec = shape.spec(n > 1, machine.isa.query_rows)
        scratch, y = Array(np.full(spec.scratch_bytes * threads, 0xFF, np.uint8)), poisoned(*q.values.shape)
        read = {"q": q.address, "y": y.address, **cached, "stride": 4 * q.values.shape[1]}
        read |= {"scratch": scratch.address, "room": spec.scratch_bytes}
        machine.run(spec, read, threads, n_tokens=n, n_past=n_past)
        assert all(array.intact() for array in (q, k, v, y, scratch))
        width = shape.n_head * shape.head_dim
        assert np.isnan(y.values[:, width:]).all()
        return y.values[:, :width].reshape(n, shape.n_head, shape.head_dim)


def spread(x: np.ndarray) -> np.ndarray:
    """Rows [n, heads * dim] with a gap of NaN behind each."""
    flat = x.reshape(len(x), -1)
    return np.concatenate([flat, np.full((len(x), GAP), np.nan, np.float32)], 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_attention_equals_numpy(machine: Machine, shape: Shape) -> None:
    layer = Layer(shape, 300)
    np.testing.assert_allclose(layer.evaluate(machine, (300,), 2), layer.exact(), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_change_no_bit(machine: Machine, shape: Shape) -> None:
    layer = Layer(shape, 300)
    whole = layer.evaluate(machine, (300,))
    np.testing.assert_array_equal(layer.evaluate(machine, (250, 1, 5, 1, 13, 30)), whole)
    np.testing.assert_array_equal(layer.evaluate(machine, (1,) * 300), whole)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(machine: Machine, threads: int) -> None:
    layer = Layer(Shape(64, 9, 3, "f16"), 270)
    whole = layer.evaluate(machine, (270,))
    np.testing.assert_array_equal(layer.evaluate(machine, (255, 1, 14), threads), whole)


def test_large_scores_do_not_overflow(machine: Machine) -> None:
    layer = Layer(Shape(16), 40)
    layer.q *= 1000
    np.testing.assert_allclose(layer.evaluate(machine, (40,)), layer.exact(), atol=2e-3)


@pytest.mark.parametrize("n_past", [0, 3, 250])
@pytest.mark.parametrize("cache_type", ["f32", "f16"])
def test_keys_lie_transposed_and_values_by_position(machine: Machine, cache_type: str, n_past: int) -> None:
    rng, b, (heads, dim, n) = np.random.default_rng(1), LANES, (3, 16, 20)
    kind = np.dtype(np.float16 if cache_type == "f16" else np.float32)
    k, v = (Array(rng.standard_normal((n, heads * dim)).astype(np.float32)) for _ in range(2))
    keys = Array(np.full((heads, N_CTX // b, dim, b), np.nan, kind))
    values = Array(np.full((heads, N_CTX, dim), np.nan, kind))
    arguments = {"k": k.address, "v": v.address, "keys": keys.address, "values": values.address}
    arguments |= {"stride": 4 * heads * dim, "n_head_kv": heads, "n_ctx": N_CTX}
    machine.run(StoreCache(dim, cache_type), arguments, 2, n_tokens=n, n_past=n_past)
    by_position = keys.values.transpose(0, 1, 3, 2).reshape(heads, N_CTX, dim)
    for found, given in ((by_position, k), (values.values, v)):
        expected = np.full((heads, N_CTX, dim), np.nan, kind)
        expected[:, n_past : n_past + n] = given.values.reshape(n, heads, dim).transpose(1, 0, 2).astype(kind)
        np.testing.assert_array_equal(found, expected)
