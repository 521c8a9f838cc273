"""llamachat and llama.cpp on the same file, threads and lengths, in alternating rounds.

    python benchmarks/compare.py -m smollm2 -p 512 -n 128 -t 2 -r 5
    python benchmarks/compare.py -m gemma3 --peer-python /path/to/venv/bin/python --output docs/comparison.md
    python benchmarks/compare.py -m gemma3 --before /path/to/another/checkout

The peer is llama-cpp-python (extra `bench`), in this interpreter or in the one of --peer-python. Without it llamachat
is measured alone. With --before the peer is llamachat in another checkout. Each engine runs in a process of its own
(worker.py), warmed up once. Each round measures each test once per engine, alternating, from an empty context. Printed
are medians of the rounds, the median of the rounds' ratios, and llamachat's share of this machine's limit
(llamachat/engine/measure.py). Run it on an idle machine: a third busy process on two cores makes every number
meaningless.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import Worker, awake, has_peer, markdown_table, rounds, text_table

from llamachat.catalog import resolve
from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.measure import processor_name
from llamachat.errors import LlamaChatError


@dataclass(frozen=True)
class Row:
    """One test: tokens per second of each engine (medians), the median ratio, and our share of the limit."""

    model: str
    test: str
    ours: float
    peer: float | None
    ratio: float | None
    share: float

    def cells(self) -> list[str]:
        """As text."""
        peer = "" if self.peer is None else f"{self.peer:.0f}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return [self.model, self.test, f"{self.ours:.0f}", peer, ratio, f"{100 * self.share:.0f} %"]


def table_rows(
    model: str, lengths: dict[str, int], seconds: dict[str, list[list[float]]], limits: dict[str, Any]
) -> list[Row]:
    """The results of all tests."""
    rows = []
    for test, found in seconds.items():
        speeds = [[lengths[test] / s for s in one] for one in found]
        ours = statistics.median(one[0] for one in speeds)
        both = len(speeds[0]) > 1
        peer = statistics.median(one[1] for one in speeds) if both else None
        ratio = statistics.median(one[0] / one[1] for one in speeds) if both else None
        share = ours * limits[test]["work"] / limits[test]["limit"]
        rows.append(Row(model, f"{test}{lengths[test]}", ours, peer, ratio, share))
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help="a GGUF file, or a name from `llamachat models`")
    parser.add_argument("-p", "--n-prompt", type=int, default=512, help="tokens of the prompt [512]; 0 = skip")
    parser.add_argument("-n", "--n-gen", type=int, default=128, help="tokens to generate [128]; 0 = skip")
    parser.add_argument("-t", "--threads", type=int, default=default_threads(), help="threads [one per core]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="rounds [5]")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has llama_cpp [this one]")
    parser.add_argument("--before", type=Path, help="another checkout of llamachat, instead of llama.cpp")
    parser.add_argument("--awake", action="store_true", help="keep virtual processors awake (engines.py)")
    parser.add_argument("--output", type=Path, help="also write the table as Markdown to this file")
    chosen = parser.parse_args()
    if min(chosen.n_prompt, chosen.n_gen) < 0 or chosen.n_prompt + chosen.n_gen == 0 or chosen.rounds < 1:
        parser.error("a prompt or a generation of at least one token is needed, and at least one round")
    return chosen


def main() -> None:
    chosen = parse_arguments()
    try:
        path = resolve(chosen.model)
    except LlamaChatError as error:
        raise SystemExit(f"compare.py: {error}") from None
    lengths = {name: n for name, n in (("pp", chosen.n_prompt), ("tg", chosen.n_gen)) if n}
    workers = [Worker(sys.executable, "llamachat", path, lengths, chosen.threads)]
    if chosen.before is not None:
        workers.append(Worker(sys.executable, "llamachat", path, lengths, chosen.threads, chosen.before))
    elif has_peer(chosen.peer_python):
        workers.append(Worker(chosen.peer_python, "llama_cpp", path, lengths, chosen.threads))
    else:
        print(f"llama_cpp is not installed for {chosen.peer_python}: llamachat alone (--peer-python)", file=sys.stderr)
    with awake(chosen.awake):
        seconds = rounds(workers, list(lengths), chosen.rounds)
        limits = workers[0].ask("limits")
    names = [worker.about for worker in workers] + [""]
    names[1] = f"{names[1]} before" if chosen.before else names[1]
    for worker in workers:
        worker.close()
    cells = [row.cells() for row in table_rows(path.stem, lengths, seconds, limits)]
    about = f"{processor_name()}, {chosen.threads} threads, {chosen.rounds} rounds, {time.strftime('%Y-%m-%d')}"
    titles = ["model", "test", *(names[:2]), "ratio", "share of the limit"]
    print(f"{about}; tokens per second\n{text_table(titles, cells)}")
    if chosen.output is not None:
        chosen.output.write_text(f"{about}; tokens per second:\n\n{markdown_table(titles, cells, 2)}\n", "utf-8")


if __name__ == "__main__":
    main()
