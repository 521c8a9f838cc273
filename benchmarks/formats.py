"""Every block format, prompts and generation: llamachat, llama.cpp and ik_llama.cpp on the same files, in turns.

    python benchmarks/formats.py --peer-python /path/to/venv/bin/python --ik-bench /path/to/llama-bench
    python benchmarks/formats.py --types Q4_K Q6_K Q4_K_M --shape 7b --layers 4 -t 1 -t 2 -r 3

For each type a model with random weights is made in --folder, in a real model's shape with fewer layers. All its
matrices have that type; Q4_K_M is that mixture. Each round measures each test once for every engine, in turns, from an
empty context, and this machine's limits (llamachat/engine/measure.py) before and after ours. Results are medians of the
rounds: tokens per second, the share of the limit, and the ratio to the better peer. A peer that cannot load a type has
a blank.

Rows are written to --results as they come, one JSON object each; what stands there is not measured again (--again), so
that a run can be continued, and --budget ends it in time. In the end all rows of that file are printed as Markdown.
--prepare only makes the models that are missing, so that what needs an idle machine is short: also of large shapes
each type can then be measured in a minute (--keep --budget 1 -r 1).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench_models import Q4_K_M, SHAPES, make
from blocks import KNOWN
from engines import HERE, PAUSE_S, Engine, EngineFailed, LlamaBench, Worker, awake, markdown_table

from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.measure import processor_name
from llamachat.engine.quants import FORMATS
from llamachat.errors import LlamaChatError, UsageError

TESTS = {"tg": "generation", "pp": "prompt"}
OURS, LLAMA_CPP, IK = "llamachat", "llama.cpp", "ik_llama.cpp"


class Peers:
    """Which engines take part, and what each is asked."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self.lengths = {test: n for test, n in (("tg", chosen.n_gen), ("pp", chosen.n_prompt)) if n}

    def start(self, model: Path, threads: int) -> dict[str, Engine]:
        """Those that can load the model, ours first. Raises EngineFailed where ours cannot."""
        found: dict[str, Engine] = {
            OURS: Worker(sys.executable, "llamachat", model, self.lengths, threads, self._chosen.checkout)
        }
        if self._chosen.peer_python:
            with _blank(LLAMA_CPP):
                found[LLAMA_CPP] = Worker(self._chosen.peer_python, "llama_cpp", model, self.lengths, threads)
        if self._chosen.ik_bench:
            found[IK] = LlamaBench(self._chosen.ik_bench, model, self.lengths, threads)
        return found


class _blank(suppress):  # noqa: N801
    """Says that a peer does not take part, and goes on."""

    def __init__(self, name: str) -> None:
        super().__init__(EngineFailed)
        self._name = name

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, EngineFailed):
            print(f"{self._name}: {error}", file=sys.stderr)
        return bool(super().__exit__(kind, error, trace))


def measure(engines: dict[str, Engine], lengths: Mapping[str, int], n_rounds: int) -> Iterator[dict[str, Any]]:
    """One row a test: medians of tokens/s, the limit and the share of it."""
    ours = engines[OURS]
    assert isinstance(ours, Worker)
    speeds: dict[str, dict[str, list[float]]] = {test: {name: [] for name in engines} for test in lengths}
    shares: dict[str, list[float]] = {test: [] for test in lengths}
    limits: dict[str, list[float]] = {test: [] for test in lengths}
    work: dict[str, float] = {}
    for number in range(n_rounds):
        for test, n in lengths.items():
            for name in list(engines) if number % 2 == 0 else list(reversed(engines)):
                time.sleep(PAUSE_S)
                before = ours.ask(f"limits {test}")[test] if name == OURS else {}
                with _blank(name):
                    speeds[test][name].append(n / engines[name].seconds(test))
                if name == OURS:
                    after = ours.ask(f"limits {test}")[test]
                    work[test] = after["work"]
                    limits[test].append(max(before["limit"], after["limit"]))
                    shares[test].append(speeds[test][OURS][-1] * work[test] / limits[test][-1])
    for test, n in lengths.items():
        found = {name: round(statistics.median(values), 2) for name, values in speeds[test].items() if values}
        yield {
            "test": test,
            "n": n,
            "tokens_per_s": found,
            "share": round(statistics.median(shares[test]), 3),
            "limit": statistics.median(limits[test]),
            "work": work[test],
            "rounds": n_rounds,
        }


def run(chosen: argparse.Namespace) -> None:
    """Measures what is not there yet, as long as the budget lasts."""
    begun, peers, have = time.monotonic(), Peers(chosen), read_rows(chosen.results)
    done = {_key(row) for row in have} if not chosen.again else set()
    for kind in chosen.types:
        if kind not in FORMATS and kind != Q4_K_M:
            print(f"{kind}: the engine does not know it yet", file=sys.stderr)
            continue
        model = chosen.folder / f"{chosen.shape}-{chosen.layers}-{kind}.gguf"
        for threads in chosen.threads:
            missing = any((kind, chosen.shape, chosen.layers, threads, test) not in done for test in peers.lengths)
            if not missing:
                continue
            if chosen.budget and time.monotonic() - begun > chosen.budget:
                return
            try:
                if not model.exists():
                    unfinished = model.with_suffix(".unfinished")
                    make(unfinished, SHAPES[chosen.shape], chosen.layers, kind)
                    unfinished.rename(model)
            except UsageError as error:  # the shape's rows are not whole blocks of this type
                print(f"{kind}: {error}", file=sys.stderr)
                break
            if not chosen.prepare:
                _add_rows(chosen, peers, model, kind, threads)
        if not chosen.keep and not chosen.prepare:
            model.unlink(missing_ok=True)


def _add_rows(chosen: argparse.Namespace, peers: Peers, model: Path, kind: str, threads: int) -> None:
    engines = peers.start(model, threads)
    about = {
        "type": kind,
        "shape": chosen.shape,
        "layers": chosen.layers,
        "threads": threads,
        "processor": processor_name(),
        "engine": engines[OURS].about,
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }
    try:
        with chosen.results.open("a", encoding="utf-8") as file:
            for row in measure(engines, peers.lengths, chosen.rounds):
                file.write(json.dumps({**about, **row}) + "\n")
                said = ", ".join(f"{name} {speed:.1f}" for name, speed in row["tokens_per_s"].items())
                print(f"{kind} {row['test']}{row['n']} x{threads}: {said}; {row['share']:.0%}", file=sys.stderr)
    finally:
        for engine in engines.values():
            engine.close()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The last row of each measurement."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return []
    return list({_key(row): row for row in map(json.loads, lines)}.values())


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("type", "shape", "layers", "threads", "test"))


def tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A Markdown table for each shape, number of layers and of threads, with its heading."""
    for place in dict.fromkeys((row["shape"], row["layers"], row["threads"]) for row in rows):
        some = [row for row in rows if (row["shape"], row["layers"], row["threads"]) == place]
        names = [name for name in (LLAMA_CPP, IK) if any(name in row["tokens_per_s"] for row in some)]
        tests = [test for test in TESTS if any(row["test"] == test for row in some)]
        titles = ["type", *(title for test in tests for title in (TESTS[test], *names, "ratio", "share"))]
        kinds = [kind for kind in _order() if any(row["type"] == kind for row in some)]
        cells = []
        for kind in kinds:
            by_test = {row["test"]: row for row in some if row["type"] == kind}
            cells.append([kind, *(cell for test in tests for cell in _cells(by_test.get(test), names))])
        dates = sorted(row["date"] for row in some)
        threads = "one thread" if place[2] == 1 else f"{place[2]} threads"
        heading = f"{place[0].upper()} shape, {place[1]} layers, {threads}; {some[0]['processor']}, {some[0]['engine']}"
        yield f"{heading}, {dates[0]} to {dates[-1]}:\n\n{markdown_table(titles, cells)}\n"


def _cells(row: Mapping[str, Any] | None, names: Sequence[str]) -> list[str]:
    """Tokens/s of ours and the peers, the ratio to the better one, the share of the limit."""
    if row is None:
        return [""] * (len(names) + 3)
    speeds = row["tokens_per_s"]
    best = max((speeds[name] for name in names if name in speeds), default=0)
    shown = [f"{speeds[name]:.{1 if speeds[name] < 100 else 0}f}" if name in speeds else "" for name in (OURS, *names)]
    return [*shown, f"{speeds[OURS] / best:.2f}" if best else "", f"{100 * row['share']:.0f} %"]


def _order() -> list[str]:
    """Types in the order of tables: floats, then as ggml numbers them, then mixtures."""
    known = sorted((name for name in KNOWN if name in BY_NAME), key=lambda name: BY_NAME[name].id)
    return [*known, Q4_K_M]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = Path.home() / ".cache" / "llamachat" / "bench"
    parser.add_argument("--types", nargs="+", default=_order(), metavar="TYPE", help="block types [all]")
    parser.add_argument("--shape", choices=SHAPES, default="3b", help="the model whose shape it is [3b]")
    parser.add_argument("--layers", type=int, default=4, help="layers [4]")
    parser.add_argument("-p", "--n-prompt", type=int, default=512, help="tokens of the prompt [512]; 0 = skip")
    parser.add_argument("-n", "--n-gen", type=int, default=32, help="tokens to generate [32]; 0 = skip")
    parser.add_argument("-t", "--threads", type=int, action="append", help="threads; several times [1 and all cores]")
    parser.add_argument("-r", "--rounds", type=int, default=3, help="rounds [3]")
    parser.add_argument("--peer-python", help="interpreter that has llama_cpp")
    parser.add_argument(
        "--checkout", type=Path, default=HERE, help="measure another checkout, whose benchmarks are as these"
    )
    parser.add_argument("--ik-bench", type=Path, help="llama-bench of ik_llama.cpp")
    parser.add_argument("--folder", type=Path, default=cache, help=f"where models are made [{cache}]")
    parser.add_argument("--keep", action="store_true", help="keep the models; else each is deleted after its turn")
    parser.add_argument("--prepare", action="store_true", help="only make the models, and keep them")
    parser.add_argument("--results", type=Path, default=cache / "formats.jsonl", help="rows of results [in the cache]")
    parser.add_argument("--awake", action="store_true", help="keep virtual processors awake (engines.py)")
    parser.add_argument("--again", action="store_true", help="measure also what stands in the results")
    parser.add_argument("--budget", type=float, default=0, help="seconds after which nothing new is begun [no end]")
    chosen = parser.parse_args()
    chosen.threads = chosen.threads or list(dict.fromkeys((1, default_threads())))
    if unknown := [kind for kind in chosen.types if kind not in _order()]:
        parser.error(f"unknown types: {', '.join(unknown)}; known are {', '.join(_order())}")
    return chosen


def main() -> None:
    chosen = parse_arguments()
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    try:
        with awake(chosen.awake):
            run(chosen)
    except (LlamaChatError, EngineFailed) as error:
        raise SystemExit(f"formats.py: {error}") from None
    print("\n".join(tables(read_rows(chosen.results))))


if __name__ == "__main__":
    main()
