"""The speed of packing: matrices of the mapped file into tiles, by block type.

    python benchmarks/packing.py -m gemma3 -t 2 -r 5

Each round opens the file again and packs every matrix. Printed are medians of GB of the file per second. The file is in
the page cache after the first round, which does not count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from pathlib import Path

from llamachat.catalog import resolve
from llamachat.engine.backend.cpu.backend import PACKED, names
from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.backend.cpu.jit.compiler import Compiler, choose_isa
from llamachat.engine.backend.cpu.weights import Weights
from llamachat.engine.backend.cpu.workers import WorkerPool
from llamachat.engine.gguf import open_gguf
from llamachat.engine.measure import processor_name
from llamachat.engine.models import describe
from llamachat.errors import LlamaChatError


def pack(path: Path, n_threads: int) -> dict[str, tuple[int, float]]:
    """{block type: (bytes of the file, seconds)} of loads of one type each; "all" is everything."""
    file = open_gguf(path)
    matrices = names(describe(file.metadata, file.tensors, path).graph().nodes, *PACKED)
    compiler = Compiler(choose_isa())
    pool = WorkerPool(compiler, n_threads)
    by_type: defaultdict[str, list[str]] = defaultdict(list)
    for name in matrices:
        by_type[file.tensors[name].type.name].append(name)
    found = {}
    for kind, members in {**by_type, "all": matrices}.items():
        weights = Weights(file, compiler, pool)
        start = time.perf_counter()
        weights.load(members, [], lambda done, total: None)
        found[kind] = sum(file.tensors[name].n_bytes for name in members), time.perf_counter() - start
    pool.close()
    return found


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help="a GGUF file, or a name from `llamachat models`")
    parser.add_argument("-t", "--threads", type=int, default=default_threads(), help="threads [one per core]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="rounds [5]")
    return parser.parse_args()


def main() -> None:
    chosen = parse_arguments()
    try:
        path = resolve(chosen.model)
        measured = [pack(path, chosen.threads) for _ in range(chosen.rounds + 1)][1:]
    except LlamaChatError as error:
        raise SystemExit(f"packing.py: {error}") from None
    print(f"{path.stem}, {chosen.threads} threads, {processor_name()}, {time.strftime('%Y-%m-%d')}")
    for kind in sorted(measured[0]):
        rate = statistics.median(one[kind][0] / one[kind][1] for one in measured)
        print(f"{kind:6} {measured[0][kind][0] / 1e6:6.0f} MB  {rate / 1e9:.2f} GB/s")


if __name__ == "__main__":
    main()
