"""From kernel specifications to machine code: emit, optimise, keep the object on disk, link, hand out addresses.

A `KernelSpec` is a frozen record; its `repr` with the instruction set and the sources of this package names its object
file. What comes from elsewhere (a kernel, an instruction set, a block format that was registered) may change without
that: there the emitted IR itself is the name. Only that, and a miss in the cache, imports the IR builder. LLVM ends the
process when asked for a symbol that is not there, so addresses are only asked for names that the object was compiled
under.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from llvmlite import binding as llvm

from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.host import processor_features
from llamachat.engine.backend.cpu.jit.split import Split, Turns
from llamachat.errors import LlamaChatError, UsageError

if TYPE_CHECKING:
    from llamachat.engine.backend.cpu.jit.isa.generic import Generic
    from llamachat.engine.backend.cpu.jit.kernel import Kernel

SYMBOL = "kernel"


class KernelSpec:
    """Base of kernel specifications: frozen dataclasses whose `repr` is complete.

    arguments: the kernel's own i64 fields. reals: those of them that hold a float32 (`Kernel.real`). reads, writes: the
    arguments whose memory it reads and writes; names that are no arguments stand for memory that the kernel reaches
    otherwise (a cache). broadcast: those of `reads` of which every thread reads all, however the items are shared.
    split: how its items go to threads; `emit` asks it.

    Sizes are fields of the record, because code is written out for them. Constants of a model (a scale, a window, an
    eps) are arguments: layers and models that differ in nothing else share one compiled kernel.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    reals: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    broadcast: ClassVar[tuple[str, ...]] = ()

    @property
    def split(self) -> Split:
        """How items go to threads."""
        return Turns()

    @property
    def is_foreign(self) -> bool:
        """Whether the kernel is made from what is no part of this package, so that its record does not say all."""
        return not _ours(type(self))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Writes the kernel's body. Raises TypeError where a kernel has none."""
        raise TypeError(f"{type(self).__name__} does not emit")


class Compiler:
    """Compiles kernels for one instruction set, each once; addresses are valid as long as the compiler lives."""

    def __init__(self, isa: Generic, store: ObjectCache | None = None) -> None:
        initialize(isa.triple)
        self.isa = isa
        self.store = store if store is not None else ObjectCache.of_user()
        self.compiled = 0
        self._machine: Any = None
        self._jit = llvm.create_lljit_compiler()
        self._trackers: list[Any] = []
        self._addresses: dict[KernelSpec, int] = {}
        self._lock = threading.Lock()
        triple = isa.triple or llvm.get_default_triple()
        self._base = f"{isa.name} {isa.cpu} {isa.features} {llvm.llvm_version_info} {triple} {source_stamp()}"

    def address(self, spec: KernelSpec) -> int:
        """The machine address of the kernel."""
        known = self._addresses.get(spec)
        if known is None:
            with self._lock:  # contexts of several threads share the compiler
                if spec not in self._addresses:
                    self._addresses[spec] = self._make(spec)
                known = self._addresses[spec]
        return known

    def _make(self, spec: KernelSpec) -> int:
        """Loads or compiles the kernel, and links it."""
        foreign = spec.is_foreign or not _ours(type(self.isa))
        text = emit(spec, self.isa) if foreign else ""
        key = f"{self._base} {type(spec).__module__} {spec!r} {text}"
        name, code = hashlib.sha256(key.encode()).hexdigest()[:16], self.store.load(key)
        if code is not None:
            try:
                return self._link(code, name)
            except RuntimeError:  # an object of another system
                name += "-anew"
        code = self._compile(spec, text or emit(spec, self.isa))
        self.store.save(key, code)
        return self._link(code, name)

    def _compile(self, spec: KernelSpec, text: str) -> bytes:
        self.compiled += 1
        module = llvm.parse_assembly(text)
        module.verify()
        if self._machine is None:
            self._machine = target_machine(self.isa)
        optimise(module, self._machine)
        if os.environ.get("LLAMACHAT_DUMP_ASM"):
            print(f"# {spec!r}\n{self._machine.emit_assembly(module)}", file=sys.stderr)
        return bytes(self._machine.emit_object(module))

    def _link(self, code: bytes, name: str) -> int:
        builder = llvm.JITLibraryBuilder().add_object_img(code).export_symbol(SYMBOL)
        tracker = builder.link(self._jit, name)
        self._trackers.append(tracker)
        return int(tracker[SYMBOL])


def emit(spec: KernelSpec, isa: Generic) -> str:
    """The LLVM IR of a kernel, as text."""
    import llvmlite.ir as ir

    from llamachat.engine.backend.cpu.jit.kernel import Kernel

    module = ir.Module()
    kernel = Kernel(module, SYMBOL, spec.arguments)
    spec.emit(kernel, isa)
    kernel.end()
    return str(module)


def target_machine(isa: Generic) -> Any:
    """LLVM's code generator for the instruction set; JIT code may lie anywhere."""
    target = llvm.Target.from_triple(isa.triple) if isa.triple else llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=isa.cpu, features=isa.features, opt=2, reloc="pic", jit=True)


def optimise(module: Any, machine: Any) -> None:
    """Registers for variables, common subexpressions, loop-invariant code: what the emitters count on."""
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def choose_isa(name: str | None = None) -> Generic:
    """The best instruction set that this processor has, or the one named (`LLAMACHAT_ISA`).

    Raises UsageError for a name that is not known or a set that the processor lacks.
    """
    from llamachat.engine.backend.cpu.jit.isa import ISAS

    wanted = name or os.environ.get("LLAMACHAT_ISA") or None
    if wanted is not None and wanted not in ISAS:
        raise UsageError(f"unknown instruction set {wanted!r} (LLAMACHAT_ISA): known are {', '.join(ISAS)}")
    usable = usable_isas()
    if wanted is not None and wanted not in usable:
        raise UsageError(f"this processor does not have {wanted}: it can run {', '.join(usable)}")
    return ISAS[wanted or usable[0]]()


def usable_isas() -> list[str]:
    """Names of the instruction sets that this processor can run, the fastest first."""
    from llamachat.engine.backend.cpu.jit.isa import ISAS

    features = processor_features()
    return [name for name, isa in ISAS.items() if features.issuperset(isa.needs) and isa.is_permitted()]


def _ours(kind: type) -> bool:
    """Whether `source_stamp` covers a class."""
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


@cache
def source_stamp() -> str:
    """A stamp of this package's code that writes code, and its tables, instead of a version number kept by hand."""
    cpu = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for folder in (cpu / "jit", cpu / "jit" / "isa", cpu / "kernels", cpu.parents[1] / "quants"):
        for path in sources(folder):
            digest.update(path.read_bytes())
    digest.update((cpu.parents[1] / "gguf" / "interleaved.py").read_bytes())  # rows of a file are taken apart there
    return digest.hexdigest()


def sources(folder: Path) -> Iterable[Path]:
    """The files of a folder that code is made from, in order."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".py", ".bin"))


@cache
def initialize(triple: str = "") -> None:
    """Prepares LLVM to write code for this processor, or for another. Raises LlamaChatError where it cannot."""
    if triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    try:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    except RuntimeError as error:
        raise LlamaChatError(f"llvmlite cannot write code for this processor: {error}") from error
