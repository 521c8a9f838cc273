"""Requests that arrive at random while others run: tokens per second, time to the first token, gaps between tokens.

    python benchmarks/serving.py -m smollm2 -t 2 --rates 0.5 1 2 4 --requests 40

Arrivals are a Poisson process; prompts have 20 to 1,500 random tokens, answers 10 to 200. First what one sequence
alone reaches and what is reached when all requests are there at once; then every rate; then the longest gap of a
running answer while a prompt of 4,000 tokens is read, and what a prompt costs that begins like an earlier one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from llamachat.catalog.resolve import resolve
from llamachat.engine.answering import GenerationOptions
from llamachat.engine.backend.cpu.workers import default_threads
from llamachat.engine.events import Failed, Stop, Token
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request, Scheduler

N_CTX = 4352


class Endless:
    """The model's vocabulary without end tokens, so that answers have the lengths that were drawn."""

    eog = frozenset[int]()
    add_bos = False

    def __init__(self, model: Model) -> None:
        self.n_vocab, self._tokenizer = model.n_vocab, model.tokenizer

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """As the tokenizer's."""
        return self._tokenizer.piece_bytes(token, special=special)

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """As the tokenizer's."""
        return self._tokenizer.encode(text, add_special=add_special)


@dataclass
class Measured:
    """When a request arrived and when its tokens came, in seconds."""

    arrived: float
    tokens: list[float] = field(default_factory=list)

    @property
    def gaps(self) -> Sequence[float]:
        """Between neighbouring tokens."""
        return np.diff(self.tokens).tolist()


def requests(rng: np.random.Generator, n: int, n_vocab: int) -> Iterator[Request]:
    for i in range(n):
        prompt = rng.integers(0, n_vocab, int(rng.integers(20, 1501))).tolist()
        sampling = SamplingOptions(temp=0.8, seed=i)
        yield Request(prompt, GenerationOptions(max_tokens=int(rng.integers(10, 201)), sampling=sampling))


def serve(scheduler: Scheduler, arriving: Iterable[tuple[float, Request]]) -> dict[Job, Measured]:
    """Runs requests, each added at its time (seconds from now)."""
    waiting, found, begun = list(arriving), dict[Job, Measured](), time.perf_counter()
    while waiting or not scheduler.idle:
        now = time.perf_counter() - begun
        while waiting and waiting[0][0] <= now:
            at, request = waiting.pop(0)
            found[scheduler.add(request)] = Measured(at)
        if scheduler.idle:
            time.sleep(max(0.0, waiting[0][0] - now))
            continue
        for job, event in scheduler.step():
            if isinstance(event, Token):
                found[job].tokens.append(time.perf_counter() - begun)
            elif isinstance(event, Failed):
                raise event.error
    return found


def report(name: str, found: dict[Job, Measured]) -> float:
    """Prints a row; tokens per second."""
    last = max(one.tokens[-1] for one in found.values())
    first = [one.tokens[0] - one.arrived for one in found.values()]
    gaps = [gap for one in found.values() for gap in one.gaps]
    speed = sum(len(one.tokens) for one in found.values()) / last
    cells = [speed, *(1e3 * np.percentile(values, q) for values in (first, gaps) for q in (50, 95))]
    print(f"| {name} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |", flush=True)
    return speed


def saturated(model: Model, most: int, wanted: Sequence[Request]) -> dict[Job, Measured]:
    pool = ContextPool(lambda: model.context(N_CTX), most)
    return serve(Scheduler(pool, Endless(model)), [(0.0, one) for one in wanted])


def longest_gap(model: Model) -> tuple[float, float]:
    """(longest gap of a running answer while a prompt of 4,000 tokens is read, its usual gap), seconds."""
    rng = np.random.default_rng(1)
    running = Request(rng.integers(0, model.n_vocab, 20).tolist(), GenerationOptions(max_tokens=4000))
    long = Request(rng.integers(0, model.n_vocab, 4000).tolist(), GenerationOptions(max_tokens=1))
    scheduler = Scheduler(ContextPool(lambda: model.context(N_CTX), 2), Endless(model))
    first, times, reading = scheduler.add(running), list[float](), list[float]()
    second: Job | None = None
    while second is None or not second.done:
        if len(times) == 60:
            second = scheduler.add(long)
        for job, event in scheduler.step():
            if job is first and isinstance(event, Token):
                (times if second is None else reading).append(time.perf_counter())
    scheduler.close()
    return float(np.diff([times[-1], *reading]).max()), float(np.median(np.diff(times)))


def shared(model: Model) -> tuple[int, int]:
    """(tokens of a prompt, those of it that were evaluated) where an earlier one began with the same 1,000."""
    rng = np.random.default_rng(2)
    begin = rng.integers(0, model.n_vocab, 1000).tolist()
    scheduler = Scheduler(ContextPool(lambda: model.context(N_CTX), 2), Endless(model))
    for end in ([1, 2, 3], [4, 5, 6, 7]):
        scheduler.add(Request([*begin, *end], GenerationOptions(max_tokens=2)))
        while not scheduler.idle:
            for _, event in scheduler.step():
                if isinstance(event, Stop):
                    timings = event.timings
    return timings.n_prompt, timings.n_prompt - timings.n_known


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help="a GGUF file, or a name from `llamachat models`")
    parser.add_argument("-t", "--threads", type=int, default=default_threads(), help="threads [one per core]")
    parser.add_argument("--requests", type=int, default=40, help="requests of each rate [40]")
    parser.add_argument("--slots", type=int, default=8, help="answers at a time [8]")
    parser.add_argument("--rates", type=float, nargs="*", default=[0.5, 1, 2], help="requests per second [0.5 1 2]")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    with Model(resolve(arguments.model), arguments.threads, n_ctx=N_CTX, n_contexts=arguments.slots) as model:
        wanted = list(requests(np.random.default_rng(0), arguments.requests, model.n_vocab))
        print("| | tokens/s | first token ms, median | 95 % | gap ms, median | 95 % |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        short = [Request(one.prompt[:20], GenerationOptions(max_tokens=200)) for one in wanted[: arguments.slots]]
        saturated(model, 1, short[:1])
        alone = report("one sequence", saturated(model, 1, short[:1]))
        together = report(f"{arguments.slots} sequences", saturated(model, arguments.slots, short))
        report("all at once", saturated(model, arguments.slots, wanted))
        for rate in arguments.rates:
            times = np.cumsum(np.random.default_rng(3).exponential(1 / rate, len(wanted)))
            pool = ContextPool(lambda: model.context(N_CTX), arguments.slots)
            arriving = zip(times.tolist(), wanted, strict=True)
            report(f"{rate:g} a second", serve(Scheduler(pool, Endless(model)), arriving))
        gap, usual = longest_gap(model)
        print(f"\n{arguments.slots} sequences reach {together / alone:.2f} x the tokens/s of one")
        print(f"longest gap while 4,000 tokens are read: {1e3 * gap:.0f} ms (usual gap {1e3 * usual:.1f} ms)")
        print("of a prompt of {} tokens that begins like an earlier one, {} were evaluated".format(*shared(model)))


if __name__ == "__main__":
    main()
