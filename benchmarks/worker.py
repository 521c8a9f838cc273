"""Measures one engine in a process of its own: python worker.py ENGINE MODEL N_PROMPT N_GEN N_THREADS

ENGINE is llamachat or llama_cpp. Only that one is imported, so that each runs in the interpreter where it is installed.
After a warm-up the process prints one JSON line about itself. Then each line of standard input is a test's name: "pp"
(prefill, logits of the last token) or "tg" (one token after another, without sampling). It is measured once from an
empty context and answered with {"seconds": s}. llamachat answers "limits", or "limits pp", with the work of a token and
this machine's limits, measured then.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

SEED = 7


class Engine(Protocol):
    """A loaded model with one context."""

    about: str

    def clear(self) -> None:
        """Forgets all tokens."""

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Evaluates tokens after those before; ends when the logits of the last one are there."""


class LlamaChat:
    """This project."""

    def __init__(self, path: str, n_ctx: int, n_threads: int) -> None:
        from llamachat import Model, __version__

        self._model = Model(path, n_threads, n_ctx=n_ctx)
        self._context = self._model.context(n_ctx)
        self._bandwidth: Callable[[], float] | None = None
        self.n_vocab = self._model.n_vocab
        self.about = f"llamachat {__version__} ({self._model.device.title})"

    def clear(self) -> None:
        """Forgets all tokens."""
        self._context.truncate(0)

    def evaluate(self, tokens: Sequence[int]) -> None:
        """One call of `Context.eval`."""
        self._context.eval(tokens)

    def limits(self, lengths: dict[str, int]) -> dict[str, dict[str, float]]:
        """{test: {"work": what a token costs, "limit": as much in a second}} in operations and bytes, measured now."""
        from llamachat.engine.measure import Work, bandwidth_limit, product_limit

        work, found = Work.of(self._model), {}
        if n := lengths.get("pp"):
            once = work.head_operations / n
            found["pp"] = work.operations - work.head_operations + once, product_limit(self._model.device, work)
        if n := lengths.get("tg"):
            read = work.weight_bytes + sum(map(work.state.read, range(n))) / n
            self._bandwidth = self._bandwidth or bandwidth_limit(self._model.device, int(read))
            found["tg"] = read, self._bandwidth()
        return {test: {"work": amount, "limit": limit} for test, (amount, limit) in found.items()}


class LlamaCpp:
    """llama.cpp through llama-cpp-python's bindings of its C interface, as llama-bench calls it."""

    def __init__(self, path: str, n_ctx: int, n_threads: int) -> None:
        import llama_cpp

        self._api = llama_cpp
        self._llama = llama_cpp.Llama(
            path, n_ctx=n_ctx, n_threads=n_threads, n_threads_batch=n_threads, n_batch=512, n_ubatch=512,
            n_gpu_layers=0, verbose=False,
        )  # fmt: skip
        self._context = self._llama.ctx
        self.n_vocab = self._llama.n_vocab()
        self.about = f"llama.cpp (llama-cpp-python {llama_cpp.__version__})"

    def clear(self) -> None:
        """Forgets all tokens."""
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)

    def evaluate(self, tokens: Sequence[int]) -> None:
        """llama_decode in batches of 512, then llama_synchronize."""
        for start in range(0, len(tokens), 512):
            piece = tokens[start : start + 512]
            ids = (self._api.llama_token * len(piece))(*piece)
            if self._api.llama_decode(self._context, self._api.llama_batch_get_one(ids, len(piece))):
                raise RuntimeError("llama_decode failed")
        self._api.llama_synchronize(self._context)


ENGINES: dict[str, Callable[[str, int, int], Any]] = {"llamachat": LlamaChat, "llama_cpp": LlamaCpp}


def time_test(engine: Engine, name: str, tokens: Sequence[int]) -> float:
    """Seconds of a test from an empty context."""
    engine.clear()
    steps = [tokens] if name == "pp" else [[token] for token in tokens]
    start = time.perf_counter()
    for step in steps:
        engine.evaluate(step)
    return time.perf_counter() - start


def main() -> None:
    """Answers on standard output until standard input ends."""
    name, path, *numbers = sys.argv[1:]
    n_prompt, n_gen, n_threads = map(int, numbers)
    engine = ENGINES[name](path, max(n_prompt, n_gen) + 8, n_threads)
    # The same tokens for both engines, whatever random numbers their interpreters make.
    lengths = {test: n for test, n in (("pp", n_prompt), ("tg", n_gen)) if n}
    tokens = [(SEED + 7919 * i) % engine.n_vocab for i in range(max(n_prompt, n_gen))]
    for test, length in lengths.items():
        time_test(engine, test, tokens[: min(length, 128 if test == "pp" else 8)])
    print(json.dumps({"about": engine.about}), flush=True)
    for line in sys.stdin:
        test, *others = line.split()
        if test == "limits":
            answer: dict[str, Any] = engine.limits({one: lengths[one] for one in others or lengths})
        else:
            answer = {"seconds": time_test(engine, test, tokens[: lengths[test]])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
