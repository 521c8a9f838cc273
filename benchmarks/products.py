"""One matrix product in and out of the cache: what limits a format, memory or arithmetic?

    python benchmarks/products.py
    python benchmarks/products.py --types Q4_K Q6_K --isa avx2 --columns 1 4 --prompt 512 -t 1

For each format and number of columns: the rate at which a product reads packed weights that lie in the caches
(`--cached` KB for each thread) and in memory (`--memory` MB), in GB of packed weights a second and in Gop/s (a
multiplication and an addition for each weight and column), and its shares of what loads of as much memory and products
in registers reach in the same run. A format is limited by
arithmetic where its rate in the cache is below the read bandwidth of the memory. Best of the rounds; quantising the
activations is not in it. `--prompt` tokens are multiplied by the product of many columns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blocks import KNOWN, random_rows
from engines import awake

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.backend.cpu.jit.compiler import Compiler, choose_isa
from llamachat.engine.backend.cpu.kernels.walker import LAUNCH_BYTES
from llamachat.engine.backend.cpu.limits import bandwidth_meter, product_rate
from llamachat.engine.backend.cpu.lower import Lowering, LoweringContext, Shape
from llamachat.engine.backend.cpu.program import Launch, Region, build
from llamachat.engine.backend.cpu.weights import Weights
from llamachat.engine.backend.cpu.workers import Step, WorkerPool
from llamachat.engine.gguf import open_gguf
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.gguf.writer import write_gguf
from llamachat.engine.graph import Linear, Node, Tensor
from llamachat.engine.measure import processor_name
from llamachat.engine.plan import Plan
from llamachat.engine.quants import FORMATS
from llamachat.errors import LlamaChatError

NAME = "matrix.weight"
ALONE_S = 0.002
"""A measurement runs at least so long: one launch takes microseconds where the matrix lies in the caches."""


@dataclass(frozen=True)
class Measured:
    """A product's rate: packed bytes and operations in a second."""

    n_bytes: float
    operations: float


class Bench:
    """An instruction set and its threads."""

    def __init__(self, isa: str | None, n_threads: int, rounds: int) -> None:
        self.compiler = Compiler(choose_isa(isa))
        self.pool = WorkerPool(self.compiler, n_threads)
        self.rounds = rounds

    def rate(self, kind: str) -> float:
        """Operations per second in registers."""
        return product_rate(self.compiler, self.pool, kind)

    def product(self, kind: str, n_columns: int, n_bytes: int, tokens: int) -> Measured:
        """A matrix of about n_bytes of that type with rows of n_columns weights, times some tokens."""
        row_bytes = n_columns // BY_NAME[kind].block * BY_NAME[kind].bytes
        n_rows = max(1, n_bytes // row_bytes // 64) * 64
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "matrix.gguf"
            data = random_rows(kind, n_rows, n_columns)
            write_gguf(path, {"general.architecture": "none"}, [(NAME, kind, (n_rows, n_columns), data)])
            weights = Weights(open_gguf(path), self.compiler, self.pool)
            weights.load([NAME], [], lambda done, total: None)
        launches = self._launches(weights, n_rows, n_columns, tokens)
        step = Step()
        step.set(n_tokens=tokens, n_outputs=tokens)
        seconds = self._best(launches, step)
        return Measured(weights.matrix(NAME).n_bytes / seconds, 2 * n_rows * n_columns * tokens / seconds)

    def _launches(self, weights: Weights, n_rows: int, n_columns: int, tokens: int) -> list[Launch]:
        """Those that a model's product of these tokens has; the product is the last."""
        source = Node(n_columns)
        linear = Linear(n_rows, source, Tensor(NAME, (n_rows, n_columns)), None)
        columns = tokens if tokens <= 4 else self.compiler.isa.columns
        x = Buffer(4 * (tokens + columns) * (n_columns + 64))
        values = x.view(np.float32, (x.n_bytes // 4,))
        values[:] = np.random.default_rng(1).standard_normal(values.size, dtype=np.float32)
        none: Any = None
        context = LoweringContext(weights, self.compiler.isa, none, none, none, none, {})
        to = Lowering(Plan([source, linear]), context, Shape(tokens, columns, self.pool.n_threads))
        self._keep = x
        given = {source: Region(x.n_bytes, fixed=x.address)}
        to.body({}, given)  # of one product, which is all the head
        return to.head(given, [linear])[0]

    def _best(self, launches: list[Launch], step: Step) -> float:
        """Seconds of the last launch alone, the best of the rounds; several in a row where one is short."""
        before = len(launches) - 1
        whole = build(launches, self.compiler)
        self.pool.run(whole.address, whole.n_launches, step)
        once = self._time(whole.address + before * LAUNCH_BYTES, 1, step)
        times = max(1, min(2000, round(ALONE_S / once)))
        if times > 1:
            whole = build([*launches, *launches[-1:] * (times - 1)], self.compiler)
            self.pool.run(whole.address, whole.n_launches, step)
        at = whole.address + before * LAUNCH_BYTES
        return min(self._time(at, times, step) for _ in range(self.rounds)) / times

    def _time(self, address: int, n_launches: int, step: Step) -> float:
        start = time.perf_counter()
        self.pool.run(address, n_launches, step)
        return time.perf_counter() - start


def measure(chosen: argparse.Namespace) -> Iterator[list[str]]:
    """The rows of the table."""
    bench = Bench(chosen.isa, chosen.threads, chosen.rounds)
    in_cache, in_memory = chosen.cached * 1024 * chosen.threads, chosen.memory << 20
    read = bandwidth_meter(bench.compiler, bench.pool, in_memory)
    rates = ", ".join(f"{kind} {bench.rate(kind) / 1e9:.0f}" for kind in ("Q4_0", "Q8_0", "F32"))
    print(f"{processor_name()}, {bench.compiler.isa.name}, {chosen.threads} threads, {time.strftime('%Y-%m-%d')}")
    print(f"loads {read() / 1e9:.1f} GB/s, arithmetic in Gop/s: {rates}")
    for kind in chosen.types:
        if kind not in FORMATS:
            print(f"{kind}: the engine does not know it yet")
            continue
        peak = bench.rate(kind)
        for tokens in chosen.columns:
            before = read()
            inside, outside = (bench.product(kind, chosen.width, n, tokens) for n in (in_cache, in_memory))
            limit = max(before, read())
            yield [
                *(kind, str(tokens), f"{inside.n_bytes / 1e9:.1f}", f"{inside.operations / 1e9:.0f}"),
                *(f"{outside.n_bytes / 1e9:.1f}", f"{100 * outside.n_bytes / limit:.0f} %"),
                f"{100 * inside.operations / peak:.0f} %",
            ]
        if chosen.prompt:
            many = bench.product(kind, chosen.width, in_cache, chosen.prompt)
            share = f"{100 * many.operations / peak:.0f} %"
            yield [kind, str(chosen.prompt), f"{many.n_bytes / 1e9:.1f}", f"{many.operations / 1e9:.0f}", "", "", share]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [name for name in FORMATS if name in KNOWN]
    parser.add_argument("--types", nargs="+", default=known, metavar="TYPE", help="block types [all]")
    parser.add_argument("--columns", nargs="+", type=int, default=[1], help="columns of few-column products [1]")
    parser.add_argument("--prompt", type=int, default=256, help="tokens of the many-column product, 0 for none [256]")
    parser.add_argument("--width", type=int, default=4096, help="weights in a row [4096]")
    parser.add_argument("--cached", type=int, default=512, help="KB for each thread of the matrix in the cache [512]")
    parser.add_argument("--memory", type=int, default=256, help="MB of the matrix in memory [256]")
    parser.add_argument("--isa", help="instruction set [the best]")
    parser.add_argument("-t", "--threads", type=int, default=default_threads(), help="threads [one per core]")
    parser.add_argument("--awake", action="store_true", help="keep virtual processors awake (engines.py)")
    parser.add_argument("-r", "--rounds", type=int, default=7, help="rounds [7]")
    return parser.parse_args()


def main() -> None:
    chosen = parse_arguments()
    titles = ["type", "columns", "cached GB/s", "Gop/s", "memory GB/s", "of loads", "of the arithmetic"]
    try:
        with awake(chosen.awake):
            for number, row in enumerate(measure(chosen)):
                if not number:
                    print(f"| {' | '.join(titles)} |\n| {' | '.join(['---', *['---:'] * (len(titles) - 1)])} |")
                print(f"| {' | '.join(row)} |", flush=True)
    except LlamaChatError as error:
        raise SystemExit(f"products.py: {error}") from None


if __name__ == "__main__":
    main()
