"""Programs for few tokens: which columns their panels have, and which products unpack weights in registers."""

import pytest

from llamachat.engine.backend.cpu.programs import sizes
from llamachat.engine.backend.cpu.weights import Matrix


@pytest.mark.parametrize("widest", [4, 6, 8, 16])
def test_no_smaller_program_would_do(widest: int) -> None:
    known = sizes(widest)
    assert [size for size, _ in known] == sorted({size for size, _ in known})
    assert known[-1] == (2 * widest, widest)
    assert all(tokens % columns == 0 for tokens, columns in known), "panels with columns that no token has"


def test_seven_tokens_take_two_narrow_panels_rather_than_two_wide_ones() -> None:
    assert next(size for size in sizes(6) if size[0] >= 7) == (8, 4)
    assert next(size for size in sizes(6) if size[0] >= 5) == (6, 6)


@pytest.mark.parametrize(
    ("name", "columns", "tokens", "direct"),
    [
        pytest.param("Q6_K", 1, 1, True, id="one token"),
        pytest.param("Q6_K", 4, 4, True, id="one panel of few columns"),
        pytest.param("Q6_K", 6, 6, False, id="scales for 16 columns"),
        pytest.param("Q4_K", 6, 12, True, id="two panels"),
        pytest.param("Q4_K", 6, 18, False, id="three panels"),
        pytest.param("Q4_K", 16, 16, False, id="more columns than registers"),
    ],
)
def test_few_panels_are_unpacked_in_registers(name: str, columns: int, tokens: int, direct: bool) -> None:
    assert Matrix(name, 64, 512, 2, 2, 0).is_direct(columns, tokens) == direct
