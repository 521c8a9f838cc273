"""What the processor can do, as each system says it; systems that are not here are played."""

import ctypes
import platform
from types import SimpleNamespace
from typing import Any

import pytest

from llamachat.engine.backend.cpu.jit.compiler import choose_isa, usable_isas
from llamachat.engine.backend.cpu.jit.host import family, processor_features


def machine(monkeypatch: pytest.MonkeyPatch, name: str, system: str) -> None:
    monkeypatch.delenv("LLAMACHAT_ISA", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: name)
    monkeypatch.setattr(platform, "system", lambda: system)


def linux(monkeypatch: pytest.MonkeyPatch, words: dict[int, int]) -> None:
    """getauxval of a Linux on ARM."""

    def getauxval(number: int) -> int:
        return words[number]

    machine(monkeypatch, "aarch64", "Linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(getauxval=getauxval))


@pytest.mark.parametrize(
    ("words", "isa"),
    [
        pytest.param({16: 0, 26: 0}, "generic", id="nothing"),
        pytest.param({16: 1 << 1, 26: 0}, "generic", id="Cortex-A72"),
        pytest.param({16: 1 << 1 | 1 << 20, 26: 0}, "neon", id="Cortex-A76"),
        pytest.param({16: 1 << 1 | 1 << 20, 26: 1 << 13}, "neon-i8mm", id="Neoverse V1"),
    ],
)
def test_linux_says_it_in_the_auxiliary_vector(
    monkeypatch: pytest.MonkeyPatch, words: dict[int, int], isa: str
) -> None:
    linux(monkeypatch, words)
    assert choose_isa().name == isa


@pytest.mark.parametrize(
    ("known", "isa"),
    [
        pytest.param({b"hw.optional.arm.FEAT_DotProd": 1, b"hw.optional.arm.FEAT_I8MM": 0}, "neon", id="M1"),
        pytest.param({b"hw.optional.arm.FEAT_DotProd": 1, b"hw.optional.arm.FEAT_I8MM": 1}, "neon-i8mm", id="M2"),
        pytest.param({}, "generic", id="names that are not known"),
    ],
)
def test_macos_says_it_by_name(monkeypatch: pytest.MonkeyPatch, known: dict[bytes, int], isa: str) -> None:
    def sysctlbyname(key: bytes, value: Any, _size: Any, _new: None, _n: Any) -> int:
        if key not in known:
            return -1
        value._obj.value = known[key]
        return 0

    machine(monkeypatch, "arm64", "Darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(sysctlbyname=sysctlbyname))
    assert choose_isa().name == isa


@pytest.mark.parametrize(("has", "isa"), [(True, "neon"), (False, "generic")])
def test_windows_is_asked_for_the_dot_product(monkeypatch: pytest.MonkeyPatch, has: bool, isa: str) -> None:
    kernel = SimpleNamespace(IsProcessorFeaturePresent=lambda number: has and number == 43)
    machine(monkeypatch, "ARM64", "Windows")
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    assert choose_isa().name == isa


def test_other_processors_run_the_generic_set(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "riscv64", "Linux")
    assert (family(), processor_features(), usable_isas()) == ("", frozenset(), ["generic"])
