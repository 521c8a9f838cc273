"""Attention alone: a piece of a prompt and single tokens behind a long text, by shape and type of the cache.

    python benchmarks/attention.py
    python benchmarks/attention.py --shapes 135m mla --types q8_0 --depth 8000 -t 2

Operations are a multiplication and an addition for each number of a key and of a value that a query meets. A piece is
compared with products of 8 bits (of float32 with float types) in registers; a token with loads of as much memory, of
which `--layers` caches are read in turns, so that they come from memory. Best of the rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from engines import awake

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec, choose_isa
from llamachat.engine.backend.cpu.jit.kernel import ROW
from llamachat.engine.backend.cpu.kernels.attention import Attention, AttentionMerge, AttentionParts
from llamachat.engine.backend.cpu.kernels.attention_item import NO_WINDOW, Heads, part_bytes, query_rows
from llamachat.engine.backend.cpu.kernels.cache import StoreKeys, StoreValues
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS, CHUNK, FloatCache
from llamachat.engine.backend.cpu.limits import bandwidth_meter, product_rate
from llamachat.engine.backend.cpu.lower.attention import tokens_of_item
from llamachat.engine.backend.cpu.program import Arguments, Launch, Region, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool

STORED = 256
"""Tokens whose keys and values are written; the other chunks are copies."""


@dataclass(frozen=True)
class Shape:
    """Heads of a layer; together: latent attention, and the heads of an item."""

    n_head: int
    n_head_kv: int
    key_dim: int
    value_dim: int
    together: int = 0

    def heads(self, kind: str) -> Heads:
        """What code is written out for."""
        n_group = self.together or self.n_head // self.n_head_kv
        return Heads(self.key_dim, self.value_dim, n_group, kind, kind, latent=bool(self.together))

    def n_bytes(self, kind: str) -> tuple[int, int]:
        """Bytes of a chunk's keys and values."""
        rows = [CACHE_FORMATS[kind].row_bytes(dim) for dim in (self.key_dim, self.value_dim)]
        return CHUNK * self.n_head_kv * rows[0], 0 if self.together else CHUNK * self.n_head_kv * rows[1]


SHAPES = {
    "135m": Shape(9, 3, 64, 64),
    "500m": Shape(14, 2, 64, 64),
    "3b": Shape(24, 8, 128, 128),
    "8b": Shape(32, 8, 128, 128),
    "gemma": Shape(4, 1, 256, 256),
    "mla": Shape(16, 1, 576, 512, 16),
}


class Bench:
    """A layer's cache of `depth` tokens, and threads."""

    def __init__(self, chosen: argparse.Namespace, shape: Shape, kind: str) -> None:
        self.compiler = Compiler(choose_isa(chosen.isa))
        self.pool = WorkerPool(self.compiler, chosen.threads)
        self.shape, self.kind, self.rounds = shape, kind, chosen.rounds
        self.n_chunks = -(-(chosen.depth + chosen.n_prompt) // CHUNK)
        self.layer_bytes = sum(shape.n_bytes(kind))
        self.layers = chosen.layers
        self.caches = [Buffer(self.layer_bytes * self.n_chunks, huge=True) for _ in range(self.layers)]
        self.rng = np.random.default_rng(0)
        self.rows = Buffer(8 * len(ROW) * max(STORED, chosen.n_prompt))
        self.step = Step()
        self.place = {"n_head_kv": shape.n_head_kv, "chunk_bytes": self.layer_bytes, "n_chunks": self.n_chunks}
        self._store()

    def _floats(self, n: int, width: int) -> Buffer:
        made = Buffer(4 * n * width)
        made.view(np.float32, (n, width))[:] = self.rng.standard_normal((n, width), np.float32)
        return made

    def _at(self, cache: Buffer, first: int, n: int) -> None:
        """The step's rows: n tokens from cell `first` on."""
        table = self.rows.view(np.int64, (n, len(ROW)))
        table[:, 0], table[:, 1], table[:, 2] = cache.address, first + np.arange(n), first + np.arange(n)
        self.step.set(n_tokens=n, n_outputs=n, rows=self.rows.address)

    def _store(self) -> None:
        self._at(self.caches[0], 0, STORED)
        values_at = self.shape.n_bytes(self.kind)[0]
        sizes = [(StoreKeys, self.shape.key_dim, 0), (StoreValues, self.shape.value_dim, values_at)]
        for store, dim, at in sizes[: 1 if self.shape.together else 2]:
            x = self._floats(STORED, self.shape.n_head_kv * dim)
            given: Arguments = {"x": Region(x.n_bytes, fixed=x.address), "at": at, **self.place}
            self._run([Launch(store(dim, self.kind), {**given, "stride": 4 * self.shape.n_head_kv * dim})])
        chunks = [cache.bytes.reshape(-1, self.layer_bytes) for cache in self.caches]
        for cache in chunks:
            cache[:] = chunks[0][0].copy()

    def _run(self, launches: list[Launch]) -> float:
        made = build(launches, self.compiler)
        start = time.perf_counter()
        self.pool.run(made.address, made.n_launches, self.step)
        return time.perf_counter() - start

    def _reading(self, n: int) -> Arguments:
        """The arguments of attention but those of outputs and scratch."""
        q = self._floats(n, self.shape.n_head * self.shape.key_dim)
        self._keep = q
        stride = 4 * self.shape.n_head * self.shape.key_dim
        given: Arguments = {"q": Region(q.n_bytes, fixed=q.address), "q_stride": stride}
        given |= {**self.place, "keys": 0, "values": self.shape.n_bytes(self.kind)[0], "window": NO_WINDOW}
        given |= {"chunk": NO_WINDOW, "scale": 0.125, "cap": 0.0, "sinks": 0, "slopes": 0, "counter": 0, "bias": 0}
        n_head_kv = self.shape.n_head // self.shape.together if self.shape.together else self.shape.n_head_kv
        return given | {"bias_bytes": 0, "bias_zero": 0, "n_head_kv": n_head_kv}

    def prompt(self, depth: int, n: int) -> float:
        """Operations in a second of n tokens behind `depth`."""
        heads, width = self.shape.heads(self.kind), self.shape.n_head * self.shape.value_dim
        isa = self.compiler.isa
        spec: KernelSpec = Attention(heads, tokens_of_item(heads, isa), query_rows(heads, isa))
        scratch = Region(spec.scratch_bytes * self.pool.n_threads, private=True)
        given = {**self._reading(n), "y": Region(4 * n * width), "y_stride": 4 * width, "scratch": scratch}
        self._at(self.caches[0], depth, n)
        launch = Launch(spec, {**given, "room": spec.scratch_bytes})
        seconds = min(self._run([launch]) for _ in range(self.rounds + 1))
        keys = n * depth + n * (n + 1) // 2
        return 2 * keys * self.shape.n_head * (self.shape.key_dim + self.shape.value_dim) / seconds

    def token(self, depth: int) -> tuple[float, float]:
        """(microseconds of a layer, bytes in a second) of a token behind `depth`; layers are read in turns."""
        heads, n_head = self.shape.heads(self.kind), self.shape.n_head
        isa = self.compiler.isa
        spec = AttentionParts(heads, query_rows(heads, isa))
        room = part_bytes(heads.value_dim) * n_head * self.n_chunks
        scratch = Region(spec.scratch_bytes * self.pool.n_threads, private=True)
        parts: Arguments = {"parts": Region(room), "part_room": room}
        given = {**self._reading(1), **parts, "scratch": scratch, "room": spec.scratch_bytes}
        width = 4 * n_head * self.shape.value_dim
        merged: Arguments = {"y": Region(width), "stride": width, "n_head": n_head, **parts, "window": NO_WINDOW}
        merged |= {"chunk": NO_WINDOW, "sinks": 0, "counter": 0}
        made = build([Launch(spec, given), Launch(AttentionMerge(heads.value_dim), merged)], self.compiler)
        best = float("inf")
        for _ in range(self.rounds + 1):
            seconds = 0.0
            for cache in self.caches:
                self._at(cache, depth - 1, 1)
                start = time.perf_counter()
                self.pool.run(made.address, made.n_launches, self.step)
                seconds += time.perf_counter() - start
            best = min(best, seconds)
        return 1e6 * best / self.layers, self.layers * self.layer_bytes * depth / CHUNK / best


def measure(chosen: argparse.Namespace) -> Iterator[list[str]]:
    """The rows of the table."""
    for name in chosen.shapes:
        for kind in chosen.types:
            bench = Bench(chosen, SHAPES[name], kind)
            in_floats = isinstance(CACHE_FORMATS[kind], FloatCache)
            peak = product_rate(bench.compiler, bench.pool, "F32" if in_floats else "Q8_0")
            row = [name, kind]
            if chosen.n_prompt:
                speed = bench.prompt(chosen.depth, chosen.n_prompt)
                row += [f"{speed / 1e9:.1f}", f"{100 * speed / peak:.0f} %"]
            if chosen.layers > 1:
                took, rate = bench.token(chosen.depth)
                limit = bandwidth_meter(bench.compiler, bench.pool, bench.layers * bench.layer_bytes * bench.n_chunks)()
                row += [f"{took:.0f}", f"{rate / 1e9:.1f}", f"{100 * rate / limit:.0f} %"]
            yield row


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["135m", "8b", "gemma"], choices=SHAPES, help="layers")
    parser.add_argument("--types", nargs="+", default=["f16", "q8_0", "q4_0"], choices=CACHE_FORMATS, help="caches")
    parser.add_argument("-p", "--n-prompt", type=int, default=48, help="tokens of the piece; 0 = skip [48]")
    parser.add_argument("--depth", type=int, default=4096, help="tokens that are there before [4096]")
    parser.add_argument("--layers", type=int, default=30, help="caches that a token reads; 1 = skip [30]")
    parser.add_argument("--isa", help="instruction set [the best]")
    parser.add_argument("-t", "--threads", type=int, default=default_threads(), help="threads [one per core]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="rounds [5]")
    parser.add_argument("--awake", action="store_true", help="keep virtual processors awake (engines.py)")
    return parser.parse_args()


def main() -> None:
    chosen = parse_arguments()
    titles = ["shape", "cache"]
    titles += ["prompt Gop/s", "of products"] if chosen.n_prompt else []
    titles += ["token us", "GB/s", "of loads"] if chosen.layers > 1 else []
    with awake(chosen.awake):
        for number, row in enumerate(measure(chosen)):
            if not number:
                print(f"| {' | '.join(titles)} |\n| {' | '.join(['---', '---', *['---:'] * (len(titles) - 2)])} |")
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
