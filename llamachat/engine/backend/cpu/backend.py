"""The processor as a backend: threads that run native code written for its instruction set."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from llamachat.engine.backend.cpu.beside import BESIDE, beside_bytes
from llamachat.engine.backend.cpu.cache import CacheShape, check_states, encoder_bytes, layer_sizes, state_bytes
from llamachat.engine.backend.cpu.cores import default_threads, fast_cpus, memory_nodes
from llamachat.engine.backend.cpu.engine import Engine
from llamachat.engine.backend.cpu.forward import CpuForward
from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.compiler import Compiler, choose_isa, usable_isas
from llamachat.engine.backend.cpu.jit.host import family, processor_features
from llamachat.engine.backend.cpu.jit.isa import ISAS
from llamachat.engine.backend.cpu.jit.kernel import OWN_COUNTS
from llamachat.engine.backend.cpu.kernels.tile import check_kernels
from llamachat.engine.backend.cpu.limits import bandwidth_meter, product_rate
from llamachat.engine.backend.cpu.lower.scratch import scratch_bytes, scratch_bytes_per_token
from llamachat.engine.backend.cpu.weights import Weights, memory_of
from llamachat.engine.backend.cpu.workers import WorkerPool
from llamachat.engine.backend.interface import Detail, Settings, Sizes, StateSizes
from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.engine.graph import Node, Role, uses
from llamachat.engine.plan import Plan
from llamachat.engine.quants import STORED
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.tensors import format_of
from llamachat.engine.state.cache_types import CacheType
from llamachat.engine.state.spec import StateSpec
from llamachat.errors import LlamaChatError, Unsupported, UsageError

if TYPE_CHECKING:
    import numpy as np

    from llamachat.engine.arrays import NDArray
    from llamachat.engine.backend.cpu.copies import PackedCopy
    from llamachat.engine.backend.cpu.quantiser import Quantiser
    from llamachat.engine.quants import Format

MAX_THREADS = 256
RESERVED_ADDRESSES = 220 * 10**6
"""Bytes of addresses that the compiler and the C library take once a model is loaded."""
ADDRESSES_PER_THREAD = 80 * 10**6
"""The same of a worker: its stack, and 64 MiB that the C library keeps for what it allocates."""
PACKED = (Role.MATRIX, Role.EXPERTS)
READ_WHOLE = (Role.VECTOR, Role.CONVOLUTION)


class Processor:
    """Implements `interface.Backend`, where its methods are described."""

    def describe(self, settings: Settings) -> Iterator[Detail]:
        """Cores, threads, the instruction set, and what the processor lacks for others."""
        usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        yield Detail("cores", usable, f"{usable} that this process may use, of {os.cpu_count()}")
        if sys.platform == "linux":
            yield from _kinds_of_cores()
        threads = settings.threads or default_threads()
        yield Detail("threads", threads, f"{threads} work on a step")
        yield _instruction_set(settings.isa)
        yield from _missing()

    def state_sizes(self, states: Sequence[StateSpec], type_k: CacheType, type_v: CacheType) -> StateSizes:
        """Without the padding of a layer's chunks. Raises Unsupported for a kind of state that it has no place for."""
        check_states(states)
        return StateSizes(
            state_bytes(states), layer_sizes(states, type_k, type_v), encoder_bytes(states, type_k, type_v)
        )

    def stored_bytes(self, tensor: TensorInfo) -> int:
        """Of its stored form."""
        fmt = format_of(tensor)
        stored = STORED[fmt.name].format.layout.itemsize if isinstance(fmt, BlockFormat) else fmt.layout.itemsize
        return tensor.n_bytes // fmt.layout.itemsize * stored

    def open(self, settings: Settings) -> CpuDevice:
        """Raises UsageError for a number of threads out of range, and an instruction set that is not there."""
        return CpuDevice(settings)


class CpuDevice:
    """Implements `interface.Device`: its compiler and threads are made when first needed."""

    def __init__(self, settings: Settings) -> None:
        threads = settings.threads
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            said = f"the number of threads must be between 1 and {MAX_THREADS}, not {threads}"
            raise UsageError(said, settings=("threads",))
        self.n_threads = threads or default_threads()
        self._isa, self._settings = choose_isa(settings.isa), settings
        self._closed = False

    @property
    def title(self) -> str:
        """What writes the code, and the instruction set."""
        return f"llvmlite {self._isa.name}"

    @property
    def reserved_addresses(self) -> int:
        """The calling thread has its own already."""
        return RESERVED_ADDRESSES + (self.n_threads - 1) * ADDRESSES_PER_THREAD

    def sizes(self, nodes: Sequence[Node], tensors: Mapping[str, TensorInfo]) -> Sizes:
        """Every tensor's format is looked at, also of those that stay in the file.

        Raises Unsupported for formats and kinds of rows that kernels cannot be written for.
        """
        for use in uses(nodes, *(role for role in Role if role not in BESIDE)):
            tensor = tensors[use.tensor.name]
            fmt = format_of(tensor, is_vector=use.role in (*READ_WHOLE, Role.ANGLES))
            if isinstance(fmt, BlockFormat):
                check_kernels(STORED[fmt.name])
        if len(Plan(nodes).own_rows) > len(OWN_COUNTS):
            raise Unsupported(f"the processor's backend knows at most {len(OWN_COUNTS)} kinds of rows beside tokens")
        matrices, vectors = (
            [tensors[name] for name in names(nodes, *roles)] for roles in (PACKED, (*READ_WHOLE, Role.HEADS))
        )
        weights = memory_of(matrices, vectors) + beside_bytes(nodes, tensors)
        return Sizes(weights, scratch_bytes(nodes), scratch_bytes_per_token(nodes))

    def load(self, file: GgufFile, plan: Plan, progress: Callable[[int, int], None]) -> CpuModel:
        """Packs the matrices with all threads."""
        compiler, pool = self._compiler, self._pool
        weights, copy = Weights(file, compiler, pool), self._copy()
        weights.load(names(plan.nodes, *PACKED), names(plan.nodes, *READ_WHOLE), progress, copy)
        return CpuModel(Engine(plan, weights, compiler, pool), copy)

    def _copy(self) -> PackedCopy | None:
        if not self._settings.keep_packed:
            return None
        from llamachat.engine.backend.cpu.copies import PackedCopy  # what starts without copies do without
        from llamachat.engine.kept import Store

        store = Store.of_user(self._settings.keep_packed)
        return PackedCopy(store, self._compiler, self._pool, self._settings.note)

    def bandwidth_meter(self, n_bytes: int) -> Callable[[], float]:
        """By loads of all threads, in several patterns."""
        return bandwidth_meter(self._compiler, self._pool, n_bytes)

    def product_rate(self, kind: str) -> float:
        """By all threads, without memory."""
        return product_rate(self._compiler, self._pool, kind)

    def encode(
        self,
        fmt: Format,
        rows: NDArray[np.float32],
        importance: NDArray[np.float32] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> NDArray[np.uint8]:
        """Of rows [n, columns], by all threads where there is a kernel for the format; else by NumPy.

        importance: [columns]. Raises UsageError as the interface says.
        """
        return self._quantiser.encode(fmt, rows, importance, meanwhile)

    def close(self) -> None:
        """Ends the worker threads."""
        self._closed = True
        if "_pool" in self.__dict__:
            self._pool.close()

    @cached_property
    def _quantiser(self) -> Quantiser:
        from llamachat.engine.backend.cpu.quantiser import Quantiser  # what runs models does without

        return Quantiser(self._compiler, self._pool)

    @cached_property
    def _compiler(self) -> Compiler:
        return Compiler(self._isa, None if self._settings.stores else ObjectCache(None))

    @cached_property
    def _pool(self) -> WorkerPool:
        if self._closed:
            raise UsageError("the model is closed: nothing can be evaluated with it any more")
        return WorkerPool(self._compiler, self.n_threads, yields=True)


class CpuModel:
    """Implements `interface.LoadedModel`."""

    def __init__(self, engine: Engine, copy: PackedCopy | None = None) -> None:
        self._engine, self._copy = engine, copy
        self._forwards: WeakValueDictionary[CacheShape, CpuForward] = WeakValueDictionary()

    @property
    def weight_bytes(self) -> int:
        """Tiles with their padding, and vectors as float32."""
        return self._engine.weights.n_bytes

    def keep(self) -> None:
        """A copy of the packed weights, if packing them took long enough."""
        if self._copy is not None:
            self._copy.keep()

    def adapted(self, plan: Plan, tensors: Mapping[str, TensorInfo]) -> CpuModel:
        """The packed weights are shared."""
        weights = self._engine.weights.with_adapters(plan.nodes, tensors)
        return CpuModel(replace(self._engine, plan=plan, weights=weights))

    def forward(self, n_ctx: int, type_k: CacheType, type_v: CacheType) -> CpuForward:
        """Whole chunks of cells."""
        shape = CacheShape.of(n_ctx, type_k, type_v)
        forward = self._forwards.get(shape)
        if forward is None:
            forward = self._forwards[shape] = CpuForward(self._engine, shape)
        return forward


def names(nodes: Iterable[Node], *roles: Role) -> list[str]:
    """Names of the tensors that operations read in these roles, in order, each once."""
    return [use.tensor.name for use in uses(nodes, *roles)]


def _kinds_of_cores() -> Iterator[Detail]:
    """What is unusual about the cores or the memory of this machine."""
    usable = os.sched_getaffinity(0)
    slow = len(usable) - len(fast_cpus(usable))
    if slow:
        yield Detail("efficiency_cores", slow, f"{slow} are slower than the others and get no thread by default")
    nodes = memory_nodes()
    if nodes > 1:
        said = "weights lie where the thread is that multiplies them, as long as threads stay there (numactl, taskset)"
        yield Detail("memory_nodes", nodes, f"{nodes} nodes (NUMA): {said}")


def _instruction_set(name: str | None) -> Detail:
    try:
        chosen = choose_isa(name).name
    except LlamaChatError as error:
        return Detail("instruction_set", None, str(error), problem=True)
    if os.environ.get("LLAMACHAT_ISA"):
        return Detail("instruction_set", chosen, f"{chosen}, because LLAMACHAT_ISA says so")
    return Detail("instruction_set", chosen, f"{chosen}, the best of {', '.join(usable_isas())}")


def _missing() -> Iterator[Detail]:
    """What the processor lacks for the instruction sets that it does not have."""
    features, usable = processor_features(), usable_isas()
    others = {name: isa for name, isa in ISAS.items() if name not in usable and isa.family == family()}
    lacking = {name: sorted(set(isa.needs) - features) for name, isa in others.items()}
    if lacking:
        refused = "the operating system's permission"
        said = "; ".join(f"{name} needs {', '.join(names) or refused}" for name, names in lacking.items())
        yield Detail("not_there", lacking, said)
