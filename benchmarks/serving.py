"""Requests that arrive at random while others run: tokens per second, time to the first token, gaps between tokens.

    python benchmarks/serving.py -m smollm2 -t 2 --rates 0.5 1 2 4 --requests 40 --slots 16

Arrivals are a Poisson process; prompts have 20 to 1,500 random tokens, answers 10 to 200. First what one sequence
alone reaches, and several at once: their ratio is the throughput of decoding. Then all requests one after the other and
all at once (prompts are limited by arithmetic, whoever they are for), then every rate; then the longest gap of a
running answer while a prompt of 4,000 tokens is read, and what a prompt costs that begins like an earlier one. Columns:
generated tokens and all tokens (prompts too) per second, processor time per token of all, times in milliseconds.

Processor time stands beside the wall's, because a machine that is shared makes the latter meaningless.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from llamachat.catalog.resolve import resolve
from llamachat.engine.answering import GenerationOptions
from llamachat.engine.backend.cpu.cores import default_threads
from llamachat.engine.events import Failed, Stop, Token
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request, Scheduler

N_CTX = 4352
LONG = GenerationOptions(max_tokens=200)


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


HEAD = """
| | generated/s | tokens/s | processor us a token | first token ms, median | 95 % | gap ms, median | 95 % |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass
class Run:
    """Requests that were served, and the processor time that they took."""

    found: dict[Job, Measured]
    processor_s: float

    @property
    def generated(self) -> int:
        """Tokens of answers."""
        return sum(len(one.tokens) for one in self.found.values())

    @property
    def processor_us(self) -> float:
        """Processor time for a generated token."""
        return 1e6 * self.processor_s / self.generated


def report(name: str, run: Run) -> Run:
    """Prints a row."""
    found = run.found
    last = max(one.tokens[-1] for one in found.values())
    first = [one.tokens[0] - one.arrived for one in found.values()]
    gaps = [gap for one in found.values() for gap in one.gaps]
    n_all = run.generated + sum(job.answering.timings.n_prompt - job.answering.timings.n_known for job in found)
    cells = [run.generated / last, n_all / last, 1e6 * run.processor_s / n_all]
    cells += [1e3 * np.percentile(values, q) for values in (first, gaps) for q in (50, 95)]
    print(f"| {name} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |", flush=True)
    return run


def serve_on(model: Model, most: int, arriving: Iterable[tuple[float, Request]]) -> Run:
    """Runs requests with at most `most` answers at a time."""
    scheduler = Scheduler(ContextPool(lambda: model.context(N_CTX), most), Endless(model))
    begun = time.process_time()
    return Run(serve(scheduler, arriving), time.process_time() - begun)


def saturated(model: Model, most: int, wanted: Sequence[Request]) -> Run:
    """All requests are there at once."""
    return serve_on(model, most, [(0.0, one) for one in wanted])


def longest_gap(model: Model) -> tuple[float, float, float]:
    """(longest gap of a running answer while a prompt of 4,000 tokens is read, the same in processor time, usual gap).

    Seconds; processor time is divided by the number of threads.
    """
    rng = np.random.default_rng(1)
    running = Request(rng.integers(0, model.n_vocab, 20).tolist(), GenerationOptions(max_tokens=4000))
    long = Request(rng.integers(0, model.n_vocab, 4000).tolist(), GenerationOptions(max_tokens=1))
    scheduler = Scheduler(ContextPool(lambda: model.context(N_CTX), 2), Endless(model))
    first, times, n_before = scheduler.add(running), list[tuple[float, float]](), 60
    second: Job | None = None
    while second is None or not second.done:
        if second is None and len(times) >= n_before:
            second = scheduler.add(long)
        for job, event in scheduler.step():
            if job is first and isinstance(event, Token):
                times.append((time.perf_counter(), time.process_time() / model.device.n_threads))
    scheduler.close()
    gaps = np.diff(times, axis=0)
    wall, processor = gaps[n_before - 1 :].max(0)
    return float(wall), float(processor), float(np.median(gaps[: n_before - 1, 0]))


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
    parser.add_argument("--slots", type=int, default=16, help="answers at a time [16]")
    parser.add_argument("--rates", type=float, nargs="*", default=[0.5, 1, 2], help="requests per second [0.5 1 2]")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    with Model(resolve(arguments.model), arguments.threads, n_ctx=N_CTX, n_contexts=arguments.slots) as model:
        wanted = list(requests(np.random.default_rng(0), arguments.requests, model.n_vocab))
        print(HEAD)
        n_slots = arguments.slots
        short = [replace(one, prompt=one.prompt[:20], options=LONG) for one in (wanted * n_slots)[:n_slots]]
        saturated(model, 1, short[:1])
        saturated(model, n_slots, [replace(one, options=GenerationOptions(max_tokens=4)) for one in short])
        alone = report("one sequence", saturated(model, 1, short[:1]))
        together = report(f"{n_slots} sequences", saturated(model, n_slots, short))
        report("one after the other", saturated(model, 1, wanted))
        report("all at once", saturated(model, n_slots, wanted))
        for rate in arguments.rates:
            times = np.cumsum(np.random.default_rng(3).exponential(1 / rate, len(wanted)))
            report(f"{rate:g} a second", serve_on(model, n_slots, zip(times.tolist(), wanted, strict=True)))
        gap, processor, usual = longest_gap(model)
        ratio = alone.processor_us / together.processor_us
        print(f"\n{n_slots} sequences give {ratio:.2f} x the tokens of one for the same processor time")
        print(
            f"longest gap while 4,000 tokens are read: {1e3 * gap:.0f} ms, {1e3 * processor:.0f} ms of processor time "
            f"(usual gap {1e3 * usual:.1f} ms)"
        )
        print("of a prompt of {} tokens that begins like an earlier one, {} were evaluated".format(*shared(model)))


if __name__ == "__main__":
    main()
