"""Assembly of kernels for processors that need not be there."""

import platform
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from assembly import assembly, inner_loops, spec_of  # noqa: E402

TEXT = """
.LBB0_1:
	addq	$1, %rax
.LBB0_2:
	vmovups	%ymm0, 32(%rsp)
	# a remark
	vaddps	%ymm0, %ymm1, %ymm0
	jl	.LBB0_2
	jne	.LBB0_1
.LBB0_3:
	incq	%rax
	jg	.LBB0_3
	jmp	.LBB0_4
.LBB0_4:
	ret
"""


def test_inner_loops_are_found_with_what_uses_the_stack() -> None:
    long, short = inner_loops(TEXT)
    assert [line.split()[0] for line in long.instructions] == ["vmovups", "vaddps", "jl"]
    assert (long.on_stack, short.on_stack) == (1, 0)
    assert len(short.instructions) == 2


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="writes code for this kind of processor")
@pytest.mark.parametrize("kernel", ["few", "many"])
def test_a_product_is_written_for_a_processor_that_is_not_here(kernel: str) -> None:
    text = assembly(spec_of(kernel, "Q4_0", 2), "avx512vnni")
    assert any("vpdpbusd" in line and "zmm" in line for loop in inner_loops(text) for line in loop.instructions)
