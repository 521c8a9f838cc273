"""Where a step's time goes: every launch of a prompt and of one token timed alone, summed up by kernel.

    python benchmarks/launches.py -m smollm2 -p 512 -t 1
    python benchmarks/launches.py -m model.gguf -p 512 --depth 8000 --cache q8_0 -t 2

A launch that is timed alone is followed by a barrier and waits for its threads to wake: --empty is what that costs, and
is subtracted. Best of the rounds for each launch. Only launches of the same program are compared; what lies in the
caches is as in a whole step.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from engines import awake, markdown_table

from llamachat.engine.backend.cpu import forward, programs
from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.backend.cpu.kernels.walker import LAUNCH_BYTES
from llamachat.engine.backend.cpu.program import Launch, Program, build
from llamachat.engine.model import Model


class Timed:
    """Runs the launches of programs one by one, and keeps the best time of each."""

    def __init__(self) -> None:
        self._launches: dict[int, Sequence[Launch]] = {}
        self.seconds: dict[tuple[int, int], float] = {}
        self.recording = False

    def build(self, launches: Sequence[Launch], compiler: Any) -> Program:
        """As `program.build`; remembers the launches."""
        made = build(launches, compiler)
        self._launches[made.address] = launches
        return made

    def launch(self, self_: Any, program: Program, cancellation: Any) -> None:
        """In place of `CpuForward._launch`."""
        pool, step = self_._engine.pool, self_._step
        for i in range(program.n_launches):
            start = time.perf_counter()
            pool.run(program.address + i * LAUNCH_BYTES, 1, step)
            spent = time.perf_counter() - start
            if self.recording:
                key = program.address, i
                self.seconds[key] = min(spent, self.seconds.get(key, spent))

    def table(self, empty: float) -> list[list[str]]:
        """A row for each kernel: launches, milliseconds, share."""
        found: dict[str, list[float]] = defaultdict(list)
        for (address, i), seconds in self.seconds.items():
            found[_name(self._launches[address][i])].append(max(0.0, seconds - empty))
        total = sum(map(sum, found.values()))
        rows = sorted(found.items(), key=lambda item: -sum(item[1]))
        return [
            ["all", str(len(self.seconds)), f"{1000 * total:.2f}", "100 %"],
            *([name, str(len(ms)), f"{1000 * sum(ms):.2f}", f"{100 * sum(ms) / total:.0f} %"] for name, ms in rows),
        ]


def _name(launch: Launch) -> str:
    """The kernel, and of a product its sizes."""
    sizes = [f"{name} {launch.arguments[name]}" for name in ("units", "blocks", "mode") if name in launch.arguments]
    return " ".join([repr(launch.spec), *sizes])


def measure(chosen: argparse.Namespace) -> None:
    """Both tables."""
    timed = Timed()
    programs.build = timed.build  # type: ignore[attr-defined]
    forward.CpuForward._launch = lambda *given: timed.launch(*given)  # type: ignore[method-assign]
    rng = np.random.default_rng(7)
    with Model(chosen.model, chosen.threads) as model:
        n_ctx = chosen.depth + chosen.n_prompt + 64
        context = model.context(n_ctx, chosen.cache)
        tokens = [int(token) for token in rng.integers(0, model.n_vocab, n_ctx)]
        for what, n in (("prompt", chosen.n_prompt), ("token", 1)):
            if not n:
                continue
            timed.recording, timed.seconds = False, {}
            for _ in range(chosen.rounds + 1):
                context.truncate(min(len(context.tokens), chosen.depth))
                if len(context.tokens) < chosen.depth:
                    context.eval(tokens[: chosen.depth])
                at = len(context.tokens)
                context.eval(tokens[at : at + n])
                timed.recording = True
            print(f"\n{what} of {n} behind {chosen.depth}\n")
            print(markdown_table(["kernel", "launches", "ms", "share"], timed.table(chosen.empty * 1e-6)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True, help="name or file")
    parser.add_argument("-p", "--n-prompt", type=int, default=512, help="tokens of the prompt [512]; 0 = skip")
    parser.add_argument("--depth", type=int, default=0, help="tokens that are there before [0]")
    parser.add_argument("--cache", default="f16", help="type of the cache [f16]")
    parser.add_argument("--empty", type=float, default=1.5, help="microseconds of a launch that does nothing [1.5]")
    parser.add_argument("-t", "--threads", type=int, default=default_threads(), help="threads [one per core]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="rounds [5]")
    parser.add_argument("--awake", action="store_true", help="keep virtual processors awake (engines.py)")
    return parser.parse_args()


def main() -> None:
    chosen = parse_arguments()
    with awake(chosen.awake):
        measure(chosen)


if __name__ == "__main__":
    main()
