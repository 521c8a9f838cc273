"""Processor, backend, speeds and memory."""

import os
import platform
from collections.abc import Iterator

from llamachat.cli.checkup.facts import Fact
from llamachat.engine.backend.choose import choose
from llamachat.engine.backend.interface import Settings
from llamachat.engine.measure import processor_name
from llamachat.engine.memory import OVERRIDE, available_memory, size_text
from llamachat.errors import LlamaChatError

MEASURED_BYTES = 1 << 28
"""Bytes that the bandwidth is measured over without a model: more than most processors' caches hold."""

MOST_BYTES = 1 << 30


def processor(threads: int | None) -> Iterator[Fact]:
    """The processor, and what the backend says of it: threads, the instruction set that kernels are written for."""
    yield Fact("processor", processor_name(), processor_name())
    yield Fact("architecture", platform.machine(), platform.machine())
    for detail in choose().describe(Settings(threads)):
        yield Fact(detail.name, detail.value, detail.text, problem=detail.problem)


def speeds(threads: int | None, n_bytes: int = MEASURED_BYTES) -> Iterator[Fact]:
    """Read bandwidth over n_bytes (a processor's cache makes it larger) and arithmetic rates, measured now."""
    device = choose().open(Settings(threads, stores=False))
    try:
        amount = min(n_bytes, MOST_BYTES, max(1 << 20, available_memory() // 4))
        read = device.bandwidth_meter(amount)()
        yield Fact("read_bytes_per_s", read, f"{read / 1e9:.1f} GB/s, over {size_text(amount)}")
        dots = device.product_rate("Q4_0")
        yield Fact(
            "integer_operations_per_s", dots, f"{dots / 1e9:.0f} Gop/s in integer dot products with weights of 4 bits"
        )
        fused = device.product_rate("F32")
        yield Fact("float_operations_per_s", fused, f"{fused / 1e9:.0f} Gop/s in float32 multiply-adds")
    finally:
        device.close()


def memory() -> Iterator[Fact]:
    """What a model may take."""
    try:
        free = available_memory()
    except LlamaChatError as error:
        yield Fact("available_bytes", None, str(error), problem=True)
        return
    reason = f", because {OVERRIDE} says so" if os.environ.get(OVERRIDE) else ""
    yield Fact("available_bytes", free, f"{size_text(free)} for a model{reason}")
