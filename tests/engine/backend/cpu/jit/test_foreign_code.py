"""The object cache and kernels whose sources are not the package's: whatever changes there, no old object is loaded."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec, choose_isa
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import Vec
from llamachat.engine.backend.cpu.kernels.limits import FusedRate
from llamachat.engine.backend.cpu.program import Launch, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool

HELPER = "def written(k):\n    return k.number({})\n"
PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

from helper_of_plugin import written
from llamachat.engine.backend.cpu.jit.compiler import KernelSpec


@dataclass(frozen=True)
class Writes(KernelSpec):
    arguments: ClassVar = ("y",)
    writes: ClassVar = ("y",)

    def emit(self, k, isa):
        k.pointer("y").store(written(k) + {}, 8)
"""


@pytest.fixture
def no_modules() -> Iterator[None]:
    yield
    for name in ("plugin_of_test", "helper_of_plugin"):
        sys.modules.pop(name, None)


def load(folder: Path, name: str, source: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    exec(compile(source, path, "exec"), module.__dict__)  # never a .pyc of the same second
    return module


def plugin(folder: Path, first: int, second: int) -> KernelSpec:
    """A kernel that writes the sum of two numbers, of which one stands in another module."""
    load(folder, "helper_of_plugin", HELPER.format(first))
    kernel: KernelSpec = load(folder, "plugin_of_test", PLUGIN.format(second)).Writes()
    return kernel


def written(compiler: Compiler, spec: KernelSpec) -> int:
    y = Buffer(8)
    program = build([Launch(spec, {"y": y.address})], compiler)
    pool = WorkerPool(compiler, 1)
    pool.run(program.address, program.n_launches, Step())
    pool.close()
    return int(y.view(np.int64, (1,))[0])


@pytest.mark.usefixtures("no_modules")
def test_a_kernel_of_a_plug_in_is_compiled_anew_when_it_or_what_it_calls_has_changed(tmp_path: Path) -> None:
    store = ObjectCache(tmp_path)
    for first, second in ((1, 2), (1, 40), (60, 40)):
        assert written(Compiler(choose_isa(), store), plugin(tmp_path, first, second)) == first + second


@pytest.mark.usefixtures("no_modules")
def test_a_kernel_of_a_plug_in_that_has_not_changed_is_taken_from_the_cache(tmp_path: Path) -> None:
    store = ObjectCache(tmp_path)
    assert written(Compiler(choose_isa(), store), plugin(tmp_path, 1, 2)) == 3
    again = Compiler(choose_isa(), store)
    assert written(again, plugin(tmp_path, 1, 2)) == 3
    assert again.compiled == 0


def test_an_instruction_set_of_a_plug_in_is_known_by_the_code_that_it_writes(tmp_path: Path) -> None:
    def with_fma(more: float) -> Generic:
        class Own(Generic):
            name = "own"

            def fma(self, k: Kernel, a: Vec, b: Vec, c: Vec) -> Vec:
                return a * b + c + more

        return Own()

    store, made = ObjectCache(tmp_path), []
    for more in (0.0, 1.0, 0.0):
        compiler = Compiler(with_fma(more), store)
        compiler.address(FusedRate())
        made.append(compiler.compiled)
    assert made == [1, 1, 0]
