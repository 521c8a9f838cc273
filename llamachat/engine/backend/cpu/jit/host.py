"""What the processor of this machine can do, in LLVM's names of features."""

from __future__ import annotations

import ctypes
import platform

from llvmlite import binding as llvm

_FAMILIES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}

_HWCAP, _HWCAP2 = 16, 26  # getauxval, linux/auxvec.h
_IN_HWCAP = {"neon": 1, "dotprod": 20}  # bits, Linux arch/arm64/include/uapi/asm/hwcap.h
_IN_HWCAP2 = {"i8mm": 13}
_IN_SYSCTL = {"dotprod": b"hw.optional.arm.FEAT_DotProd", "i8mm": b"hw.optional.arm.FEAT_I8MM"}
_WINDOWS_DOTPROD = 43  # PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE


def family() -> str:
    """x86-64, aarch64, or nothing for other processors."""
    return _FAMILIES.get(platform.machine().lower(), "")


def processor_features() -> frozenset[str]:
    """Names of the processor's features, as LLVM calls them; of kinds of processors that are not known none."""
    if family() == "x86-64":
        return frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)
    return _arm_features() if family() == "aarch64" else frozenset()


def _arm_features() -> frozenset[str]:
    """Those that instruction sets ask for; asked of the system, since programs cannot ask the processor."""
    system = platform.system()
    if system == "Linux":
        ask = ctypes.CDLL(None).getauxval
        ask.restype, ask.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
        words = ((ask(_HWCAP), _IN_HWCAP), (ask(_HWCAP2), _IN_HWCAP2))
        return frozenset(name for word, bits in words for name, bit in bits.items() if word >> bit & 1)
    if system == "Darwin":
        return frozenset({"neon", *(name for name, key in _IN_SYSCTL.items() if _sysctl(key))})
    windows = getattr(ctypes, "windll", None)
    if windows is not None and windows.kernel32.IsProcessorFeaturePresent(_WINDOWS_DOTPROD):
        return frozenset({"neon", "dotprod"})
    return frozenset()


def _sysctl(key: bytes) -> int:
    """A number that macOS knows by that name; 0 where it does not."""
    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    failed = ctypes.CDLL(None).sysctlbyname(key, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    return 0 if failed else value.value
