"""Writes llamachat/engine/quants/codebooks.bin from the grids of the `gguf` package (a development dependency).

python tools/make_codebooks.py
"""

from pathlib import Path

import gguf
import numpy as np

from llamachat.engine.quants.codebooks import FILE, GRIDS, Grid


def codes(grid: Grid) -> np.ndarray:
    """The grid's entries as numbers of its magnitudes: uint8 [entries, n]."""
    found = next(one for one in gguf.quants._type_traits.values() if one.qtype.name == grid.name)
    found.init_grid()  # type: ignore[no-untyped-call]
    assert found.grid is not None
    values = found.grid.reshape(grid.entries, grid.n)
    return np.searchsorted(np.array(found.grid_map), values).astype(np.uint8)


def packed(numbers: np.ndarray, bits: int) -> bytes:
    """Numbers, uint8 [n, ...], in bytes, the first in the lowest bits."""
    digits = numbers.reshape(-1, 8 // bits) << (np.arange(8 // bits) * bits).astype(np.uint8)
    return bytes(np.bitwise_or.reduce(digits, axis=1).astype(np.uint8))


def main() -> None:
    """Writes the file."""
    Path(FILE).write_bytes(b"".join(packed(codes(grid), grid.bits) for grid in GRIDS))


if __name__ == "__main__":
    main()
