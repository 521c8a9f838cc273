"""The cost of long contexts: decoding and prefill at growing lengths, cache types, several sequences, prompt look-up.

    python benchmarks/context.py [-m smollm2] [-t 2] [-r 20]
    python benchmarks/context.py --parts prompts decoding --cache q8_0

Ratios are of alternating runs. The limit of a decoding step is the bytes that it reads (weights and cache) divided by
the read bandwidth, which is measured in the same run.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from llamachat.catalog import resolve
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.generate import GenerationOptions, Speculation, Stop, generate
from llamachat.engine.measure import Work, bandwidth_limit
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.speculation.lookup import Lookup

LENGTHS = (128, 512, 2048, 8064)
PROMPTS = (512, 2048, 8192)
TYPES = ("f16", "q8_0", "q4_0")
PARTS = ("decoding", "prompts", "sequences", "lookup")
SEQUENCES = (1, 2, 4, 8, 16)
SOURCE = (
    '{"name": "Ada", "born": 1815, "field": "mathematics"}\n{"name": "Alan", "born": 1912, "field": "logic"}\n'
    '{"name": "Grace", "born": 1906, "field": "compilers"}\n{"name": "Edsger", "born": 1930, "field": "algorithms"}\n'
)


def median_ms(work: Callable[[], object], undo: Callable[[], object], repetitions: int) -> float:
    """Seconds: the median of n runs, each undone."""
    work()
    undo()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
        undo()
    return 1e3 * float(np.median(seconds))


def tokens_of(model: Model, n: int) -> list[int]:
    """Any tokens."""
    return [int(t) for t in np.random.default_rng(0).integers(0, min(40_000, model.n_vocab), n)]


def decoding(model: Model, repetitions: int, types: list[str]) -> None:
    """A step at growing lengths, for some cache types."""
    ids = tokens_of(model, LENGTHS[-1])
    for name in types:
        context = model.context(8192, name)
        work = Work.in_file(model.nodes, model.file.tensors, model.backend, (name, name))
        first, first_limit = 0.0, 0.0
        for length in LENGTHS:
            context.eval(ids[context.n_past : length])
            took = median_ms(lambda c=context: c.eval([7]), lambda c=context, n=length: c.truncate(n), repetitions)
            n_bytes = work.weight_bytes + work.state.read(length)
            limit = 1e3 * n_bytes / bandwidth_limit(model.device, n_bytes)()
            first, first_limit = first or took, first_limit or limit
            steps = f"{took:6.2f} ms, {took / first:.2f} x the first"
            print(f"decoding {name:5} at {length:5}: {steps}; limit {limit:6.2f} ms, {limit / first_limit:.2f} x")


def prompts(model: Model, types: list[str]) -> None:
    """Prompts of growing length."""
    for name in types:
        context, first = model.context(8192, name), 0.0
        context.eval(tokens_of(model, 512))
        for length in PROMPTS:
            context.truncate(0)
            start = time.perf_counter()
            context.eval(tokens_of(model, length))
            speed = length / (time.perf_counter() - start)
            first = first or speed
            print(f"prompt {name:5} of {length:5}: {speed:6.0f} tokens/s, {speed / first:.2f} x the first", flush=True)


def sequences(model: Model, repetitions: int) -> None:
    """Several sequences in a step, at 128 tokens each."""
    together, first, ids = BatchDecoder(), 0.0, tokens_of(model, 128)
    begun = model.context(512)
    begun.eval(ids)
    for n in SEQUENCES:
        contexts = [begun.fork() for _ in range(n)]
        logits = together.eval(contexts, [[7]] * n)

        def undo(contexts: list = contexts) -> None:
            for context in contexts:
                context.truncate(128)

        took = median_ms(lambda c=contexts, out=logits: together.eval(c, [[7]] * len(c), out), undo, repetitions)
        speed = 1e3 * n / took
        first = first or speed
        print(f"{n:2} sequences: {took:6.2f} ms a step, {speed:6.0f} tokens/s, {speed / first:.2f} x one")


def lookup(model: Model) -> None:
    """Copying a text with and without look-up, in turns."""
    prompt = model.tokenize(f"Lines:\n{SOURCE * 2}\nThe same lines again:\n{SOURCE}")
    options = GenerationOptions(max_tokens=200, sampling=SamplingOptions(temp=0))
    speeds: dict[str, list[float]] = {"plain": [], "look-up": []}
    accepted = 0.0
    for _ in range(5):
        for name, speculation in (("plain", None), ("look-up", Speculation(Lookup()))):
            context = model.context(2048)
            *_, stop = generate(context, model.tokenizer, prompt, options, speculation=speculation)
            assert isinstance(stop, Stop)
            speeds[name].append(stop.timings.n_generated / stop.timings.generation_s)
            accepted = stop.timings.n_accepted / max(1, stop.timings.n_drafted)
    plain, guessed = (float(np.median(speeds[name])) for name in speeds)
    print(f"copying: {plain:.0f} tokens/s, with look-up {guessed:.0f}: {guessed / plain:.2f} x, {accepted:.0%} right")


def main() -> None:
    """Runs all of them."""
    parser = argparse.ArgumentParser(description="what a long context costs")
    parser.add_argument("-m", "--model", default="smollm2")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--repetitions", type=int, default=20)
    parser.add_argument("--cache", nargs="+", default=TYPES, choices=TYPES, help="types of the cache [all]")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="what is measured [all]")
    given = parser.parse_args()
    with Model(resolve(given.model), given.threads, n_ctx=8192) as model:
        parts = {
            "decoding": lambda: decoding(model, given.repetitions, given.cache),
            "prompts": lambda: prompts(model, given.cache),
            "sequences": lambda: sequences(model, given.repetitions),
            "lookup": lambda: lookup(model),
        }
        for name in given.parts:
            parts[name]()


if __name__ == "__main__":
    main()
