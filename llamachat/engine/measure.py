"""Speeds of a model as rows with llama-bench's field names, each with its share of this machine's limit.

The limit of decoding is the read bandwidth of a load loop over as many bytes as a token reads (weights and cache).
That of a prompt is the rate of the dot product instruction (of multiply-adds where the weights are floats). Both are
measured in the same run, before and after each test, and the better one counts.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llamachat import __version__
from llamachat.engine.backend.interface import StateSizes
from llamachat.engine.context import Context
from llamachat.engine.gguf import TensorInfo
from llamachat.engine.graph import Node, Role, states, uses
from llamachat.engine.model import Model
from llamachat.engine.plan import Plan
from llamachat.errors import UsageError

LIMIT_BYTES = 1 << 30
MATRICES = (Role.MATRIX, Role.EXPERTS)


@dataclass(frozen=True)
class Work:
    """What one token costs: bytes of packed weights, what it keeps and reads, operations in all matrices."""

    weight_bytes: int
    state: StateSizes
    operations: int
    head_operations: int
    quantised: bool

    @classmethod
    def of(cls, model: Model) -> Work:
        """The work of a model."""
        state = model.backend.state_sizes(states(model.nodes), *model.cache_types)
        return cls.in_file(model.nodes, model.file.tensors, state)

    @classmethod
    def in_file(cls, nodes: Sequence[Node], tensors: Mapping[str, TensorInfo], state: StateSizes) -> Work:
        """The work of these operations with the weights of a file; nothing of it is read but its header."""
        packed = [(use, tensors[use.tensor.name]) for use in uses(nodes, *MATRICES)]
        return cls(
            weight_bytes=sum(round(use.share * tensor.n_bytes) for use, tensor in packed),
            state=state,
            operations=sum(node.operations for node in nodes),
            head_operations=sum(node.operations for node in Plan(nodes).head),
            quantised=not any(tensor.type.block == 1 for _, tensor in packed),
        )


def measure(
    model_path: str | Path,
    n_prompt: int = 512,
    n_gen: int = 128,
    n_threads: int | None = None,
    repetitions: int = 5,
    progress: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """One row for the prompt test and one for the generation test; a length of 0 means no such test.

    Raises UsageError where there is nothing to measure, and what `Model` raises.
    """
    if min(n_prompt, n_gen) < 0 or n_prompt + n_gen == 0 or repetitions < 1:
        raise UsageError("bench needs a prompt or a generation of at least one token, and at least one repetition")
    with Model(model_path, n_threads, n_ctx=max(n_prompt, n_gen + 1)) as model:
        context, work = model.context(), Work.of(model)
        rows = []
        if n_prompt:
            progress(f"prompt of {n_prompt}")
            rows.append(_row(model, context, n_prompt, 0, *_prompt_test(model, context, work, n_prompt, repetitions)))
        if n_gen:
            progress(f"generation of {n_gen}")
            rows.append(_row(model, context, 0, n_gen, *_generation_test(model, context, work, n_gen, repetitions)))
        return rows


def _prompt_test(
    model: Model, context: Context, work: Work, n: int, repetitions: int
) -> tuple[list[float], float, float]:
    """(seconds of each repetition, limit in operations per second, operations of a repetition)."""
    rate = model.device.integer_rate if work.quantised else model.device.float_rate
    tokens = _tokens(model, n)

    def evaluate() -> None:
        context.truncate(0)
        context.eval(tokens)

    seconds, limit = _time(evaluate, repetitions, rate)
    # Logits are computed for the last token only, so the output matrix counts once a prompt.
    return seconds, limit, float(n * (work.operations - work.head_operations) + work.head_operations)


def _generation_test(
    model: Model, context: Context, work: Work, n: int, repetitions: int
) -> tuple[list[float], float, float]:
    """(seconds of each repetition, limit in bytes per second, bytes read in a repetition)."""
    tokens = _tokens(model, n)
    read = n * work.weight_bytes + sum(map(work.state.read, range(n)))

    def generate() -> None:
        context.truncate(0)
        for token in tokens:
            context.eval([token])

    bandwidth, n_bytes = model.device.read_bandwidth, min(read // n, LIMIT_BYTES)
    seconds, limit = _time(generate, repetitions, lambda: bandwidth(n_bytes))
    return seconds, limit, float(read)


def _time(run: Callable[[], None], repetitions: int, limit: Callable[[], float]) -> tuple[list[float], float]:
    run()
    best, seconds = limit(), []
    for _ in range(repetitions):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds, max(best, limit())


def _tokens(model: Model, n: int) -> list[int]:
    return [int(t) for t in np.random.default_rng(0).integers(0, model.n_vocab, n)]


def _row(
    model: Model, context: Context, n_prompt: int, n_gen: int, seconds: list[float], limit: float, amount: float
) -> dict[str, Any]:
    n = n_prompt or n_gen
    speeds = [n / s for s in seconds]
    kinds = Counter(t.type.name for t in model.file.tensors.values() if len(t.shape) > 1)
    achieved = amount * statistics.mean(speeds) / n
    return {
        "build_version": __version__,
        "cpu_info": processor_name(),
        "backend": model.device.title,
        "model_filename": str(model.file.path),
        "model_type": f"{model.spec.architecture} {kinds.most_common(1)[0][0]}",
        "model_size": sum(t.n_bytes for t in model.file.tensors.values()),
        "model_n_params": sum(int(np.prod(t.shape)) for t in model.file.tensors.values()),
        "n_batch": context.max_batch,
        "n_threads": model.device.n_threads,
        "type_k": model.cache_types[0],
        "type_v": model.cache_types[1],
        "n_prompt": n_prompt,
        "n_gen": n_gen,
        "test": f"pp{n}" if n_prompt else f"tg{n}",
        "test_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "avg_ns": round(statistics.mean(seconds) * 1e9),
        "stddev_ns": round(statistics.stdev(seconds) * 1e9) if len(seconds) > 1 else 0,
        "avg_ts": round(statistics.mean(speeds), 4),
        "stddev_ts": round(statistics.stdev(speeds), 4) if len(speeds) > 1 else 0.0,
        "samples_ns": [round(s * 1e9) for s in seconds],
        "samples_ts": [round(speed, 4) for speed in speeds],
        "achieved": achieved,
        "limit": limit,
        "limit_unit": "operations/s" if n_prompt else "bytes/s",
        "limit_share": round(achieved / limit, 4),
    }


def processor_name() -> str:
    """The processor as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
