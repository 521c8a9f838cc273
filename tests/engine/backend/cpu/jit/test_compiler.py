"""The compiler: each kernel once, then from the cache; instruction sets by name."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from machine import Array

from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec, choose_isa, emit, sources, usable_isas
from llamachat.engine.backend.cpu.jit.isa import ISAS
from llamachat.engine.backend.cpu.kernels.elementwise import Elementwise
from llamachat.engine.backend.cpu.kernels.norm import Norm
from llamachat.engine.backend.cpu.program import Launch, build
from llamachat.engine.backend.cpu.workers import Step, WorkerPool
from llamachat.engine.quants import codebooks
from llamachat.errors import UsageError

SPEC = Elementwise("add")


def sum_of(compiler: Compiler, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b by the compiler's kernel."""
    arrays = [Array(a), Array(b), Array(np.zeros_like(a))]
    arguments = dict(zip(("a", "b", "y"), (array.address for array in arrays), strict=True))
    arguments |= {"count": Step.offset("n_tokens"), "stride": a.strides[0]}
    program, pool, step = build([Launch(SPEC, arguments)], compiler), WorkerPool(compiler, 1), Step()
    step.set(n_tokens=len(a))
    pool.run(program.address, program.n_launches, step)
    pool.close()
    return arrays[2].values


def works(compiler: Compiler) -> bool:
    a, b = np.random.default_rng(0).standard_normal((2, 3, 64)).astype(np.float32)
    return np.array_equal(sum_of(compiler, a, b), a + b)


def test_a_kernel_is_compiled_once(tmp_path: Path) -> None:
    compiler = Compiler(choose_isa(), ObjectCache(tmp_path))
    assert compiler.address(SPEC) == compiler.address(Elementwise("add"))
    assert compiler.compiled == 1


def test_a_second_compiler_compiles_nothing(tmp_path: Path) -> None:
    assert works(Compiler(choose_isa(), ObjectCache(tmp_path)))
    second = Compiler(choose_isa(), ObjectCache(tmp_path))
    assert works(second)
    assert second.compiled == 0


def test_threads_may_share_a_compiler(tmp_path: Path) -> None:
    compiler = Compiler(choose_isa(), ObjectCache(tmp_path))
    specs = [Norm("rms", size) for size in range(16, 200, 16)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: [compiler.address(spec) for spec in specs], range(4)))
    assert all(addresses == found[0] for addresses in found)
    assert compiler.compiled == len(specs)


def test_an_object_of_another_system_is_compiled_again(tmp_path: Path) -> None:
    class Foreign(ObjectCache):
        def load(self, key: str) -> bytes | None:
            return b"\xcf\xfa\xed\xfe" + bytes(200)

    compiler = Compiler(choose_isa(), Foreign(tmp_path))
    assert works(compiler)
    assert compiler.compiled > 0


def test_instruction_sets_need_all_that_their_level_may_emit() -> None:
    for name, isa in ISAS.items():
        if isa.cpu == "x86-64-v3":
            assert {"avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe"} <= set(isa.needs), name
        if isa.cpu == "x86-64-v4":
            assert {"bmi2", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"} <= set(isa.needs), name


def test_an_empty_name_of_an_instruction_set_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_ISA", "")
    assert choose_isa().name == usable_isas()[0]


def test_a_damaged_cache_is_compiled_again(tmp_path: Path) -> None:
    works(Compiler(choose_isa(), ObjectCache(tmp_path)))
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    again = Compiler(choose_isa(), ObjectCache(tmp_path))
    assert works(again)
    assert again.compiled > 0


def test_without_a_cache_everything_works() -> None:
    compiler = Compiler(choose_isa(), ObjectCache(None))
    assert works(compiler)
    assert compiler.compiled > 0


def test_instruction_sets_and_parameters_do_not_share_objects(tmp_path: Path) -> None:
    store, specs = ObjectCache(tmp_path), (Norm("rms", 64), Norm("rms", 48), Norm("rms", 64, residual=True))
    for isa in usable_isas():
        compiler = Compiler(ISAS[isa](), store)
        assert len({compiler.address(spec) for spec in specs}) == 3
        assert compiler.compiled == 3


def test_a_specification_without_code_is_an_error() -> None:
    with pytest.raises(TypeError, match="does not emit"):
        emit(KernelSpec(), choose_isa())


def test_the_default_is_the_fastest_that_this_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMACHAT_ISA", raising=False)
    assert choose_isa().name == usable_isas()[0]


def test_every_processor_can_run_the_generic_one() -> None:
    assert usable_isas()[-1] == "generic"


def test_the_variable_chooses_an_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_ISA", "generic")
    assert choose_isa().name == "generic"


def test_an_unknown_instruction_set_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_ISA", "avx1024")
    with pytest.raises(UsageError, match=r"'avx1024' \(LLAMACHAT_ISA\): known are avx512amx, .*generic"):
        choose_isa()


def test_an_instruction_set_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamachat.engine.backend.cpu.jit.compiler.processor_features", lambda: frozenset({"sse2"}))
    with pytest.raises(UsageError, match="does not have avx2: it can run generic"):
        choose_isa("avx2")


def test_assembly_is_printed_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMACHAT_DUMP_ASM", "1")
    Compiler(choose_isa("generic"), ObjectCache(tmp_path)).address(SPEC)
    out, err = capfd.readouterr()
    assert out == ""
    assert "# Elementwise(operation='add')" in err
    assert "kernel:" in err


def test_another_codebook_makes_kernels_anew() -> None:
    folder = codebooks.FILE.parent
    assert {codebooks.FILE, folder / "codebooks.py"} <= {*sources(folder)}


STARTER = """
import sys
from pathlib import Path
from llamachat.engine.backend.cpu.jit.cache import ObjectCache
from llamachat.engine.backend.cpu.jit.compiler import Compiler, choose_isa
from llamachat.engine.backend.cpu.kernels.norm import Norm
compiler = Compiler(choose_isa(), ObjectCache(Path(sys.argv[1])))
for size in (8, 16, 24, 32, 64):
    assert compiler.address(Norm("rms", size))
"""


def test_two_processes_that_start_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 5
