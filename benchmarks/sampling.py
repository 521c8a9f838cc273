"""The cost of sampling: each sampler alone and the default chain, as a share of a decoding step of a real model.

    python benchmarks/sampling.py [-r 200]

Logits are random with the standard deviation of a real model's. The decoding step is measured in the same run, if the
model is on this machine.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from llamachat.catalog import resolve
from llamachat.engine.model import Model
from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.chain import STAGES, Sampler
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.errors import LlamaChatError

MODELS = {"smollm2": 49_152, "gemma3": 262_144}
ON = {
    "penalties": {"repeat_penalty": 1.1},
    "dry": {"dry_multiplier": 0.8, "dry_sequence_breaker": ("none",)},
    "top_n_sigma": {"top_nsigma": 1.0},
    "top_k": {},
    "tfs_z": {"tfs": 0.95},
    "typ_p": {"typical": 0.9},
    "top_p": {},
    "min_p": {},
    "xtc": {"xtc_probability": 1.0},
    "temperature": {},
}
CHAINS: dict[str, dict[str, object]] = {
    "default chain": {},
    "greedy": {"temp": 0},
    "top-p first": {"top_k": 0},
    "mirostat 1": {"mirostat": 1},
    "mirostat 2": {"mirostat": 2},
    "nothing on": {"temp": 1, "top_k": 0, "top_p": 1, "min_p": 0},
}


class Words:
    """A vocabulary of n words."""

    eog: frozenset[int] = frozenset()
    add_bos = False

    def __init__(self, n_vocab: int) -> None:
        self.n_vocab = n_vocab

    def piece_bytes(self, token: int) -> bytes:
        """Any text."""
        return b"word"

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """No tokens."""
        return []


def microseconds(work: Callable[[], object], repetitions: int) -> float:
    """Microseconds: the median of as many runs."""
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return 1e6 * float(np.median(seconds))


def step_microseconds(name: str) -> float:
    """A decoding step of the model on two threads; 0 where the model is not there."""
    try:
        with Model(resolve(name), 2, n_ctx=512) as model:
            context = model.context(512)
            context.eval([5] * 100)
            return microseconds(lambda: context.eval([5]), 200)
    except LlamaChatError:
        return 0.0


def apply(stage: Stage, ids: np.ndarray, logits: np.ndarray) -> None:
    """One sampler on the whole vocabulary; ids, logits: [n_vocab]."""
    stage.apply(Candidates(ids, logits))


def tell(label: str, cost: float, step: float) -> None:
    """One row."""
    print(f"  {label:14}{cost:8.0f} us" + (f"  {cost / step:6.1%} of a step" if step else ""))


def main() -> None:
    """Prints a table for each vocabulary."""
    parser = argparse.ArgumentParser(description="what choosing a token costs")
    parser.add_argument("-r", "--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    for name, n_vocab in MODELS.items():
        logits = (np.random.default_rng(0).standard_normal(n_vocab) * 4).astype(np.float32)
        step, ids = step_microseconds(name), np.arange(n_vocab)
        print(f"{name}: {n_vocab} tokens, a step takes {step:.0f} us")
        for stage_name, settings in ON.items():
            stage = STAGES[stage_name](SamplingOptions(seed=1, **settings), Words(n_vocab))
            assert stage is not None
            for token in range(64):
                stage.accept(token)
            tell(stage_name, microseconds(partial(apply, stage, ids, logits), repetitions), step)
        for label, settings in CHAINS.items():
            sampler = Sampler(SamplingOptions(seed=1, **settings), Words(n_vocab))
            tell(label, microseconds(partial(sampler.sample, logits), repetitions), step)


if __name__ == "__main__":
    main()
