"""Rows that files of 2024 hold interleaved, for processors of that time (ggml: block_q4_0x4 and its neighbours).

A block of `rows` neighbouring rows: their scales one after the other, then their codes in turn, `chunk` bytes of each.
Codes of Q4_0 have bit 3 flipped, so that they are signed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llamachat.engine.arrays import NDArray

SCALE, CODES = 2, 16
"""Bytes of a block of Q4_0 and of IQ4_NL."""


@dataclass(frozen=True)
class Interleaving:
    """How many rows lie together, in chunks of how many bytes; the bits `flipped` of codes are others in plain rows."""

    rows: int
    chunk: int
    flipped: int

    def apart(self, data: NDArray[np.uint8], row_bytes: int) -> NDArray[np.uint8]:
        """Whole groups of rows, uint8 [n], as rows one after the other."""
        n_blocks = row_bytes // (SCALE + CODES)
        groups = data.reshape(-1, n_blocks, self.rows * (SCALE + CODES))
        out = np.empty((len(groups), self.rows, n_blocks, SCALE + CODES), np.uint8)
        scales = groups[:, :, : SCALE * self.rows].reshape(len(groups), n_blocks, self.rows, SCALE)
        chunks = groups[:, :, SCALE * self.rows :].reshape(len(groups), n_blocks, -1, self.rows, self.chunk)
        out[..., :SCALE] = scales.transpose(0, 2, 1, 3)
        codes = chunks.transpose(0, 3, 1, 2, 4).reshape(len(groups), self.rows, n_blocks, CODES)
        out[..., SCALE:] = codes ^ np.uint8(self.flipped)
        return out.reshape(-1)


_SIGNED = 0x88

INTERLEAVED: dict[int, tuple[str, Interleaving]] = {
    31: ("Q4_0", Interleaving(4, 4, _SIGNED)),
    32: ("Q4_0", Interleaving(4, 8, _SIGNED)),
    33: ("Q4_0", Interleaving(8, 8, _SIGNED)),
    36: ("IQ4_NL", Interleaving(4, 4, 0)),
}
"""Numbers of types (Q4_0_4_4, Q4_0_4_8, Q4_0_8_8, IQ4_NL_4_4): the type of the rows when they are apart."""
