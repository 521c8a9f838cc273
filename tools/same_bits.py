"""Whether two checkouts compute the same bits: python tools/same_bits.py OTHER_CHECKOUT MODEL.gguf ...

For each model, instruction set and number of threads it takes checksums of the logits of a prompt at once, in pieces
or token by token, after a shift and after going back, and of answers that are generated side by side.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.events import Token
from llamachat.engine.model import Model
from llamachat.engine.parallel import Batch, Request
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import LlamaChatError

if TYPE_CHECKING:
    from llamachat.engine.state.cache_types import CacheType  # older checkouts have it elsewhere

ISAS = ("avx512vnni", "avx512", "avxvnni", "avx2", "generic")
CACHE_TYPES: tuple[CacheType, ...] = ("f16", "f32", "q8_0", "q4_0")
N_PROMPT = 150


def main() -> int:
    """Prints a line for each difference, and how much is equal."""
    if sys.argv[1] == "--probe":
        for path in sys.argv[2:]:
            for line in checksums(Path(path)):
                print(line, flush=True)
        return 0
    other, models = Path(sys.argv[1]), sys.argv[2:]
    here, there = (probe(tree, models) for tree in (Path(__file__).resolve().parents[1], other))
    differing = sorted(set(here) ^ set(there))
    print("\n".join(differing))
    print(f"{len(set(here) & set(there))} checksums are equal, {len(differing)} lines differ")
    return 1 if differing or not here else 0


def probe(tree: Path, models: list[str]) -> list[str]:
    """The lines that this file prints with the package of a checkout. Raises SystemExit where it fails."""
    command = [sys.executable, __file__, "--probe", *models]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"same_bits.py: {tree} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.splitlines()


def checksums(path: Path) -> Iterator[str]:
    """One line for each way in which a model can evaluate."""
    for isa in ISAS:
        for n_threads in (1, 2):
            try:
                model = Model(path, n_threads, isa=isa, n_ctx=512)
            except LlamaChatError:
                yield f"{path.name} {isa}: not here"
                break
            with model:
                for way, digest in ways(model):
                    yield f"{path.name} {isa} threads={n_threads} {way} {digest}"


class Numbers:
    """A vocabulary in which a token prints its number."""

    eog = ()
    add_bos = False

    def __init__(self, n_vocab: int) -> None:
        self.n_vocab = n_vocab

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """The number."""
        return str(token).encode()

    def encode(self, text: str, add_special: bool = False) -> list[int]:
        """No text has tokens."""
        return []


def ways(model: Model) -> Iterator[tuple[str, str]]:
    """(way, checksum of its logits)."""
    rng = np.random.default_rng(1)
    prompt = rng.integers(3, model.n_vocab - 1, N_PROMPT).tolist()
    for cache_type in CACHE_TYPES:
        try:
            context = model.context(512, cache_type)
        except LlamaChatError:
            yield cache_type, "refused"
            continue
        yield f"{cache_type} whole", digest(context.eval(prompt))
        yield f"{cache_type} one", digest(*(context.eval([token]) for token in prompt[:6]))
        yield f"{cache_type} pieces", digest(context.eval(prompt[:3]), context.eval(prompt[3:70], "all"))
        context.truncate(N_PROMPT - 1)
        yield f"{cache_type} back", digest(context.eval(prompt[-1:]))
        context.remove(2, 40)
        yield f"{cache_type} shifted", digest(context.eval(prompt[5:25]), context.eval(prompt[:1]))
    yield "side by side", side_by_side(model, prompt)


def side_by_side(model: Model, prompt: list[int]) -> str:
    """A checksum of what is generated from five prompts at once."""
    options = GenerationOptions(max_tokens=8, sampling=SamplingOptions(seed=1, temp=1.0))
    batch = Batch(lambda: model.context(512), Numbers(model.n_vocab), 3)
    answers: list[list[int]] = [[] for _ in range(5)]
    for number, event in batch.answers([Request(prompt[: 20 * n + 2], options) for n in range(5)]):
        if isinstance(event, Token):
            answers[number].append(event.id)
    return digest(np.array([token for answer in answers for token in [-1, *answer]]))


def digest(*arrays: np.ndarray) -> str:
    """A checksum of arrays [...] of any shape: of their bytes in order."""
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
