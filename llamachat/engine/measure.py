"""Speeds of a model as rows with llama-bench's field names, each with its share of this machine's limit.

The limit of decoding is the read bandwidth over memory as large as what a token reads: packed weights and cache. That
of a prompt is the rate of products in registers with weights of the model's types, each for its part of the operations.
Both are measured in the same run, before and after each repetition, and the better one counts for it.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from llamachat import __version__
from llamachat.engine.backend.interface import Backend, Device, StateSizes
from llamachat.engine.context import Context
from llamachat.engine.gguf import TensorInfo
from llamachat.engine.graph import Node, Role, states, uses
from llamachat.engine.memory import available_memory
from llamachat.engine.model import Model
from llamachat.engine.plan import Plan
from llamachat.engine.state.cache_types import CacheType
from llamachat.errors import UsageError

MATRICES = (Role.MATRIX, Role.EXPERTS)
LEAST_BYTES = 1 << 20
"""A smaller model's bandwidth is measured over so much: waking the threads takes longer than reading less."""


@dataclass(frozen=True)
class Samples:
    """The repetitions of a test: seconds, the limit at the time of each, and the bytes or operations of one."""

    seconds: Sequence[float]
    limits: Sequence[float]
    amount: float

    @classmethod
    def of(cls, run: Callable[[], None], repetitions: int, limit: Callable[[], float], amount: float) -> Samples:
        """Times `run` after a run that does not count; the better limit of before and after counts for each."""
        run()
        seconds, limits = [], [limit()]
        for _ in range(repetitions):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
            limits.append(limit())
        return cls(seconds, [max(pair) for pair in pairwise(limits)], amount)

    @property
    def share(self) -> float:
        """Of the limit, on the average."""
        return statistics.mean(self.amount / s / limit for s, limit in zip(self.seconds, self.limits, strict=True))


@dataclass(frozen=True)
class Work:
    """What one token costs.

    weight_bytes: of packed weights; state: what it keeps and reads; operations: in all matrices, those of the output
    matrix too, which are also counted apart; by_type: operations but for the output matrix, by the weights' type.
    """

    weight_bytes: int
    state: StateSizes
    operations: int
    head_operations: int
    by_type: Mapping[str, int]
    quantised: bool

    @classmethod
    def of(cls, model: Model) -> Work:
        """The work of a model."""
        return cls.in_file(model.nodes, model.tensors, model.backend, model.cache_types)

    @classmethod
    def in_file(
        cls,
        nodes: Sequence[Node],
        tensors: Mapping[str, TensorInfo],
        backend: Backend,
        cache_types: tuple[CacheType, CacheType],
    ) -> Work:
        """The work of these operations with the weights of a file; nothing of it is read but its header.

        Raises Unsupported for types and states that the backend cannot compute with.
        """
        packed = [(use, tensors[use.tensor.name]) for use in uses(nodes, *MATRICES)]
        plan, by_type = Plan(nodes), Counter[str]()
        for node in plan.body:
            for use in uses([node], *MATRICES) if node.operations else ():
                by_type[tensors[use.tensor.name].type.name] += node.operations * node.rows.times
        return cls(
            weight_bytes=sum(round(use.share * backend.stored_bytes(tensor)) for use, tensor in packed)
            + sum(round(use.share * tensors[use.tensor.name].n_bytes) for use in uses(nodes, Role.DOWN, Role.UP)),
            state=backend.state_sizes(states(nodes), *cache_types),
            operations=sum(node.operations * node.rows.times for node in nodes),
            head_operations=sum(node.operations * node.rows.times for node in plan.head),
            by_type=by_type,
            quantised=not any(tensor.type.block == 1 for _, tensor in packed),
        )


def measure(
    model_path: str | Path,
    n_prompt: int = 512,
    n_gen: int = 128,
    repetitions: int = 5,
    progress: Callable[[str], None] = lambda what: None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """One row for the prompt test and one for the generation test; a length of 0 means no such test.

    settings: of `Model`. Raises UsageError where there is nothing to measure, and what `Model` raises.
    """
    if min(n_prompt, n_gen) < 0 or n_prompt + n_gen == 0 or repetitions < 1:
        raise UsageError("bench needs a prompt or a generation of at least one token, and at least one repetition")
    with Model(model_path, **settings, n_ctx=max(n_prompt, n_gen + 1)) as model:
        context, work = model.context(), Work.of(model)
        rows = []
        if n_prompt:
            progress(f"prompt of {n_prompt}")
            rows.append(_row(model, context, n_prompt, 0, _prompt_test(model, context, work, n_prompt, repetitions)))
        if n_gen:
            progress(f"generation of {n_gen}")
            rows.append(_row(model, context, 0, n_gen, _generation_test(model, context, work, n_gen, repetitions)))
        return rows


def _prompt_test(model: Model, context: Context, work: Work, n: int, repetitions: int) -> Samples:
    """Limits in operations per second."""
    tokens = _tokens(model, n)

    def evaluate() -> None:
        context.truncate(0)
        context.eval(tokens)

    # Logits are computed for the last token only, so the output matrix counts once a prompt.
    amount = n * (work.operations - work.head_operations) + work.head_operations
    return Samples.of(evaluate, repetitions, lambda: product_limit(model.device, work), float(amount))


def _generation_test(model: Model, context: Context, work: Work, n: int, repetitions: int) -> Samples:
    """Limits in bytes per second."""
    tokens = _tokens(model, n)
    read = n * work.weight_bytes + sum(map(work.state.read, range(n)))

    def generate() -> None:
        context.truncate(0)
        for token in tokens:
            context.eval([token])

    return Samples.of(generate, repetitions, bandwidth_limit(model.device, read // n), float(read))


def bandwidth_limit(device: Device, n_bytes: int) -> Callable[[], float]:
    """Measures bytes per second over memory of n_bytes, or of half of what is free where that is less."""
    return device.bandwidth_meter(max(LEAST_BYTES, min(n_bytes, available_memory() // 2)))


def product_limit(device: Device, work: Work) -> float:
    """Operations per second of a model's matrices, each at the rate of its type, measured now."""
    if not work.by_type:
        return device.product_rate("F32")
    seconds = sum(operations / device.product_rate(kind) for kind, operations in work.by_type.items())
    return sum(work.by_type.values()) / seconds


def _tokens(model: Model, n: int) -> list[int]:
    return [int(t) for t in np.random.default_rng(0).integers(0, model.n_vocab, n)]


def _row(model: Model, context: Context, n_prompt: int, n_gen: int, samples: Samples) -> dict[str, Any]:
    n, seconds = n_prompt or n_gen, samples.seconds
    speeds = [n / s for s in seconds]
    kinds = Counter(t.type.name for t in model.file.tensors.values() if len(t.shape) > 1)
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
        "achieved": samples.amount * statistics.mean(speeds) / n,
        "limit": statistics.mean(samples.limits),
        "limit_unit": "operations/s" if n_prompt else "bytes/s",
        "limit_share": round(samples.share, 4),
    }


def processor_name() -> str:
    """The processor as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
