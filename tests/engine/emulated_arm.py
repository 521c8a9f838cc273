"""Kernels on an emulated AArch64 processor: qemu's user mode, in memory that the test and the emulated program share.

Everything that kernels reach lies in one file that both map at the same address: buffers, arguments, code. So whole
models run there, as they would on such a machine: only the compiler's target, where code is put, and who walks the
launches differ.
"""

import ctypes
import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest

from llamachat.engine.backend.cpu import backend, buffers, loading
from llamachat.engine.backend.cpu.jit import compiler
from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.isa import ISAS
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.workers import Step

TRIPLE, TOOLS = (
    "aarch64-linux-gnu",
    (*("qemu-aarch64", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-ld", "aarch64-linux-gnu-objcopy"),),
)
PROCESSORS = {"neon-i8mm": "max", "neon": "cortex-a76", "generic": "cortex-a57"}
"""Instruction set -> a processor that has it and nothing more of what kernels ask for."""

BASE, SIZE, CODE = 0x2_0000_0000, 1 << 31, 1 << 24
"""Where the shared memory lies, its size, and how much of it is for code."""

FUNCTIONS = ("pread", "syscall", "sched_yield", "usleep")
_FIXED_NOREPLACE = 0x100000
_SCRIPT = """SECTIONS {{ . = {at:#x};
  .all : {{ *(.text*) *(.ltext*) *(.rodata*) *(.lrodata*) *(.data*) *(.bss*) }}
  /DISCARD/ : {{ *(*) }} }}"""


def needed() -> None:
    """Skips the test where the emulator or the tools for AArch64 are not there."""
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here (Debian: qemu-user, gcc-aarch64-linux-gnu)")


class Arm:
    """An emulated processor and the memory that it shares with this process."""

    def __init__(self, folder: Path, processor: str) -> None:
        self._folder, runner, file = folder, folder / "runner", folder / "memory"
        source = Path(__file__).with_name("arm_runner.c")
        subprocess.run([TOOLS[1], "-O1", "-static", "-pthread", "-o", runner, source], check=True)
        with file.open("wb") as memory:
            memory.truncate(SIZE)
        self._map(file)
        self._code, self._data = BASE, BASE + CODE
        self._n_linked = 0
        command = [TOOLS[0], "-cpu", processor, runner, file, hex(BASE), hex(SIZE)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _map(self, file: Path) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        with file.open("r+b") as memory:
            flags, access = mmap.MAP_SHARED | _FIXED_NOREPLACE, mmap.PROT_READ | mmap.PROT_WRITE
            at = library.mmap(BASE, SIZE, access, flags, memory.fileno(), 0)
        if at != BASE:
            raise OSError(ctypes.get_errno(), "the shared memory cannot be mapped")
        self._unmap = lambda: library.munmap(ctypes.c_void_p(BASE), ctypes.c_size_t(SIZE))

    def ask(self, *words: int) -> int:
        """One command of arm_runner.c."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(struct.pack("<8q", *words, *[0] * (8 - len(words))))
        self._process.stdin.flush()
        answer = self._process.stdout.read(8)
        if len(answer) < 8:
            raise RuntimeError(f"the emulated program ended: {self._process.wait()}")
        return int(struct.unpack("<q", answer)[0])

    def allocate(self, n_bytes: int, _huge: bool = False) -> ctypes.Array[ctypes.c_uint8]:
        """Zeroed memory, never given back: stands for `buffers._map`."""
        at, self._data = self._data, self._data + -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        assert self._data <= BASE + SIZE, "the shared memory is full"
        kind = type("Region", (ctypes.c_uint8 * n_bytes,), {"madvise": lambda *_: None})
        return kind.from_address(at)  # type: ignore[no-any-return]

    def place(self, code: bytes) -> int:
        """Links an object where it is to run, and puts it there."""
        self._n_linked += 1
        paths = [self._folder / f"{self._n_linked}.{ending}" for ending in ("o", "ld", "elf", "bin")]
        paths[0].write_bytes(code)
        paths[1].write_text(_SCRIPT.format(at=self._code))
        subprocess.run([TOOLS[2], "-e", compiler.SYMBOL, "-T", paths[1], "-o", paths[2], paths[0]], check=True)
        subprocess.run([TOOLS[3], "-O", "binary", paths[2], paths[3]], check=True)
        linked, at = paths[3].read_bytes(), self._code
        ctypes.memmove(at, linked, len(linked))
        self._code += -(-len(linked) // 64) * 64
        assert self._code <= BASE + CODE, "the memory for code is full"
        return at

    def function(self, name: str) -> int:
        """The address of a function of the emulated C library: stands for `system_function`."""
        return self.ask(0, FUNCTIONS.index(name))

    def start(self, work: int, arguments: int, n_threads: int) -> None:
        """Threads 1 .. n_threads - 1 of the emulated program, in which `work` runs."""
        self.ask(2, work, arguments, n_threads)

    def call(self, kernel: int, arguments: int, step: int, n_threads: int) -> None:
        """A kernel, as thread 0 of so many."""
        self.ask(3, kernel, arguments, step, n_threads)

    def join(self, n_threads: int) -> None:
        """Waits for the threads that were started."""
        self.ask(4, n_threads)

    def close(self) -> None:
        """Ends the emulated program."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._unmap()
        (self._folder / "memory").unlink()

    def __enter__(self) -> "Arm":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class ArmPool:
    """Stands for `WorkerPool`: launches run there, each for one thread after the other."""

    def __init__(self, made_by: "ArmCompiler", n_threads: int, **_settings: bool) -> None:
        self._arm, self.n_threads = made_by.arm, n_threads

    def run(self, launches: int, n_launches: int, step: Step) -> None:
        """Every launch."""
        self._arm.ask(1, launches, n_launches, step.address, self.n_threads)

    def close(self) -> None:
        """Nothing."""


class ArmCompiler(compiler.Compiler):
    """Writes code for AArch64 and puts it into the shared memory."""

    arm: Arm

    def __init__(self, isa: Generic, store: ObjectCache | None = None) -> None:
        isa.triple = TRIPLE
        super().__init__(isa, store)

    def _link(self, code: bytes, name: str) -> int:
        return self.arm.place(code)


@contextmanager
def arm_machine(folder: Path, isa: str) -> Iterator[Arm]:
    """While it lasts, models and kernels run on an emulated processor that has this instruction set."""
    needed()
    with Arm(folder, PROCESSORS[isa]) as arm, pytest.MonkeyPatch.context() as patch:
        kind = type("ArmCompilerHere", (ArmCompiler,), {"arm": arm})
        patch.setattr(buffers, "_map", arm.allocate)
        patch.setattr(loading, "system_function", arm.function)
        patch.setattr(backend, "Compiler", kind)
        patch.setattr(backend, "WorkerPool", ArmPool)
        patch.setattr(compiler, "usable_isas", lambda: [isa])
        patch.setattr("machine.Compiler", kind, raising=False)
        patch.setattr("machine.WorkerPool", ArmPool, raising=False)
        assert isa in ISAS
        yield arm
