"""The cost of grammars: preparing a vocabulary, compiling, and masking each token.

    python benchmarks/grammar.py -m smollm2 -m gemma3 -r 5

For each grammar a text is read in the tokens of the model's tokenizer. A step is `apply` over normally distributed
logits of the whole vocabulary, and `accept`. The first reading is that of a fresh grammar; the others are warm.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from llamachat.catalog import resolve
from llamachat.engine.grammar import Constraint, GrammarSource
from llamachat.engine.measure import processor_name
from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import LlamaChatError

JSON_TEXT = (
    '{"name": "Ada Lovelace", "born": 1815, "tags": ["mathematics", "poetry"], "note": "She wrote, in 1843, what is '
    'often called the first program.", "score": -2.5e+3, "links": {"next": null, "known": true}}'
)
LIST_TEXT = "- apples from the garden\n- three brown eggs\n- a loaf of bread, sliced\n"
CASES = {
    "--json": (GrammarSource.json_schema(), JSON_TEXT),
    "--grammar json": (GrammarSource.gbnf("json"), JSON_TEXT),
    "--grammar list": (GrammarSource.gbnf("list"), LIST_TEXT),
    "--grammar c": (GrammarSource.gbnf("c"), "int add(int a, int b) {\n    int sum = a + b;\n    return sum;\n}\n"),
}


def read(constraint: Constraint, ids: list[int], logits: np.ndarray) -> list[float]:
    """Seconds of each step; logits: float32 [n_vocab]."""
    every = np.arange(logits.size)
    constraint.begin()
    seconds = []
    for token in ids:
        candidates = Candidates(every, logits)
        start = time.perf_counter()
        constraint.apply(candidates)
        constraint.accept(token)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(model: str, n_rounds: int) -> None:
    tokenizer = Tokenizer(resolve(model))
    logits = np.random.default_rng(1).normal(size=tokenizer.n_vocab).astype(np.float32)
    start = time.perf_counter()
    GrammarSource.gbnf('root ::= "a"').constraint(tokenizer)
    print(f"{model}: {tokenizer.n_vocab} tokens, prepared in {time.perf_counter() - start:.2f} s")
    for name, (source, text) in CASES.items():
        ids = tokenizer.encode(text, add_special=False)
        start = time.perf_counter()
        constraint = source.constraint(tokenizer)
        compiled = time.perf_counter() - start
        first, *rounds = [read(constraint, ids, logits) for _ in range(n_rounds + 1)]
        warm = [1e3 * one for seconds in rounds for one in seconds]
        costs = f"first {1e3 * statistics.mean(first):.3f} ms/token, then mean {statistics.mean(warm):.3f}, median "
        costs += f"{statistics.median(warm):.3f}, worst {max(warm):.3f}"
        print(f"  {name:15} {len(ids):3} tokens  compiled in {1e3 * compiled:.1f} ms  {costs}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", action="append", help="a GGUF file, or a name [smollm2 and gemma3]")
    parser.add_argument("-r", "--rounds", type=int, default=5, help="warm readings [5]")
    chosen = parser.parse_args()
    print(f"{processor_name()}, {time.strftime('%Y-%m-%d')}")
    try:
        for model in chosen.model or ("smollm2", "gemma3"):
            measure(model, chosen.rounds)
    except LlamaChatError as error:
        raise SystemExit(f"grammar.py: {error}") from None


if __name__ == "__main__":
    main()
