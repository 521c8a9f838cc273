"""The plan before loading: weights + cache + scratch against the memory that is free, in bytes.

It asks the operating system how much a process may take (its own and its container's limit) and chooses the context.
"""

import os
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from llamachat.errors import NotEnoughMemory, UsageError

DEFAULT_N_CTX: Final = 8192
CTX_STEP: Final = 256
OVERRIDE: Final = "LLAMACHAT_MEMORY"
UNITS: Final[Mapping[str, int]] = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
RESERVED_ADDRESSES: Final = 300 * 10**6
"""Bytes of addresses beside a model, where no device says how many: what a processor with two threads takes."""
UNLIMITED: Final = 1 << 60
"""A cgroup v1 limit beyond this means none."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a model will take. n_ctx: tokens; weights, cache, scratch: bytes; note: a sentence to tell, or ""."""

    n_ctx: int
    weights: int
    cache: int
    scratch: int
    note: str = ""

    @property
    def total(self) -> int:
        """Bytes altogether."""
        return self.weights + self.cache + self.scratch


def plan_memory(
    weight_bytes: int,
    cache_bytes: Callable[[int], int],
    scratch_bytes: int,
    requested_n_ctx: int | None,
    trained_n_ctx: int,
    available: int,
) -> MemoryPlan:
    """The context and the memory that a model takes, all in bytes and tokens. cache_bytes: of a context's tokens.

    Without a request the context is the model's own up to 8192, or as many multiples of 256 as fit. Raises
    NotEnoughMemory with the numbers and the context that would fit, UsageError for a context below one token.
    """
    if requested_n_ctx is not None and requested_n_ctx < 1:
        said = f"a context of {requested_n_ctx} tokens makes no sense: it must have 1 or more"
        raise UsageError(said, settings=("n_ctx",))
    fixed = weight_bytes + scratch_bytes
    n_ctx, note = requested_n_ctx or min(trained_n_ctx, DEFAULT_N_CTX), ""
    if fixed + cache_bytes(n_ctx) > available:
        fitting = _fitting(cache_bytes, n_ctx, available - fixed)
        if requested_n_ctx or not fitting:
            said = _refusal(fixed, fixed + cache_bytes(n_ctx), fitting, available)
            raise NotEnoughMemory(said, settings=("n_ctx",) if fitting else ("model",))
        note = f"context {fitting} instead of {n_ctx} tokens, because only {size_text(available)} are free"
        n_ctx = fitting
    elif n_ctx > trained_n_ctx:
        note = f"the context of {n_ctx} tokens is longer than the {trained_n_ctx} that the model was trained with"
    return MemoryPlan(n_ctx, weight_bytes, cache_bytes(n_ctx), scratch_bytes, note)


def check_cache_fits(n_ctx: int, cache_bytes: Callable[[int], int]) -> None:
    """Raises NotEnoughMemory for a context that does not fit the memory that is free, with the one that would."""
    free, needed = available_memory(), cache_bytes(n_ctx)
    if needed > free:
        fitting = _fitting(cache_bytes, n_ctx, free)
        said = f"a context of {n_ctx} tokens takes {size_text(needed)}, {size_text(free)} are free"
        raise NotEnoughMemory(f"{said}; {fitting} tokens would fit", settings=("n_ctx",))


def check_adapters_fit(n_bytes: int) -> None:
    """Raises NotEnoughMemory for adapters that do not fit the memory that is free."""
    free = available_memory()
    if n_bytes > free:
        said = f"the adapters take {size_text(n_bytes)}, {size_text(free)} are free; take smaller ones, or fewer"
        raise NotEnoughMemory(said, settings=("lora",))


def _fitting(cache_bytes: Callable[[int], int], n_ctx: int, available: int) -> int:
    """The most tokens, fewer than n_ctx and in steps of CTX_STEP, whose cache fits."""
    n_steps = bisect_right(range(-(-n_ctx // CTX_STEP)), available, key=lambda n: cache_bytes(CTX_STEP * n))
    return CTX_STEP * max(0, n_steps - 1)


def _refusal(fixed: int, needed: int, fitting: int, available: int) -> str:
    advice = (
        f"a context of {fitting} tokens would fit"
        if fitting
        else f"not even {CTX_STEP} tokens fit, choose a smaller model"
    )
    share = "" if fitting else f" ({size_text(fixed)} of it without any context)"
    return f"the model needs {size_text(needed)}{share}, {size_text(available)} are free; {advice}"


def size_text(n_bytes: int) -> str:
    """A number of bytes for a person: "93 MB", "4.0 GB" (decimal units)."""
    if n_bytes >= UNITS["G"]:
        return f"{n_bytes / UNITS['G']:.1f} GB"
    if n_bytes >= UNITS["M"]:
        return f"{n_bytes / UNITS['M']:.0f} MB"
    return f"{n_bytes / UNITS['K']:.0f} kB" if n_bytes >= UNITS["K"] else f"{n_bytes} bytes"


def available_memory(root: Path = Path("/"), reserved_addresses: int = RESERVED_ADDRESSES) -> int:
    """Bytes that this process could take without swapping: what is free, or less where a container limits it.

    LLAMACHAT_MEMORY ("500M", "4G" or bytes) overrides it. root: where /proc and /sys are. reserved_addresses: what a
    device takes of a limit of addresses (`ulimit -v`) beside a model.

    Raises UsageError if the override is no size.
    """
    if override := os.environ.get(OVERRIDE):
        return parse_size(override, OVERRIDE)
    free = _meminfo_available(root)
    limits = [*_cgroup_v2_free(root), *_cgroup_v1_free(root), *_address_space_free(root, reserved_addresses)]
    return max(0, min([_system_memory() if free is None else free, *limits]))


def parse_size(text: str, what: str) -> int:
    """Bytes of "4G", "1.5 GB", "500M" or "1048576" (decimal units); UsageError names `what` otherwise."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE | re.ASCII)
    if not found:
        raise UsageError(f"{what} is {text!r}, must be a size such as 500M, 4G or a number of bytes")
    return int(float(found[1]) * UNITS[found[2].upper()])


def _meminfo_available(root: Path) -> int | None:
    """`MemAvailable` of Linux, which counts the file cache that can be dropped; None elsewhere."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _cgroup_v2_free(root: Path) -> Iterator[int]:
    """What every group above this process has free: limit - usage + file cache (kernel docs, cgroup-v2, memory)."""
    for folder in _groups(root, "", root / "sys/fs/cgroup"):
        limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is not None and used is not None:
            stat = _statistics(folder / "memory.stat")
            yield limit - used + stat.get("inactive_file", 0) + stat.get("active_file", 0)


def _cgroup_v1_free(root: Path) -> Iterator[int]:
    """The same of the older hierarchy (kernel docs, cgroup-v1, memory)."""
    for folder in _groups(root, "memory", root / "sys/fs/cgroup/memory"):
        limit, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < UNLIMITED:
            stat = _statistics(folder / "memory.stat")
            yield limit - used + stat.get("total_inactive_file", 0) + stat.get("total_active_file", 0)


def _address_space_free(root: Path, reserved_addresses: int) -> Iterator[int]:
    """What `ulimit -v` allows a model: the limit, less what is in use and what the device will reserve."""
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text(root / "proc/self/statm").split()
    if limit != resource.RLIM_INFINITY and pages:
        yield limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE") - reserved_addresses


def _groups(root: Path, controller: str, mount: Path) -> Iterator[Path]:
    """The folders of this process's group and of those above it, up to the mount."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controller in controllers.split(","):
            group = PurePosixPath("/", path)
            for above in (group, *group.parents):
                if ".." not in above.parts:
                    yield mount / above.relative_to("/")
            return


def _system_memory() -> int:
    """Bytes that are free, where the system has no /proc: macOS, Windows."""
    import psutil

    return int(psutil.virtual_memory().available)


def _number(path: Path) -> int | None:
    """A file's whole number; None if it is not there or says "max"."""
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _statistics(path: Path) -> dict[str, int]:
    """A file of lines "name number"."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
