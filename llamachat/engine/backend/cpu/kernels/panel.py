"""Panels: the layouts in which products read activations, for `columns` tokens at a time.

Quantised, one record per 32 activations of `columns` tokens c; x is about scale * code:
    codes   8 x [c] dwords, each four neighbouring activations as signed bytes
    scale   [c] float32
    sum     [c] float32      scale * (sum of the 32 codes)
    sums    3 x [c] dwords   two i16 each: the sums of the codes at even and at odd places among the pairs (columns 0
                             and 1 of each four, then 2 and 3): of all 32, of the first 16, of the last 16
    halves  [c] dwords       two i16: the sums of the first 16 codes and of the last 16
With 16 columns or more, codes are [c] x 8 dwords: a row of a matrix register for each column.
Floats: [k][c] float32. The last panel is padded; what its unused columns hold is computed and never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamachat.engine.backend.cpu.jit.values import Vec

GROUP = 32


class Record:
    """Offsets in a quantised record of `columns` columns."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.bytes = columns * (GROUP + 4 * 6)

    @property
    def by_column(self) -> bool:
        """Whether a column's codes lie together."""
        return self.columns == 1 or self.columns >= 16

    def code(self, quad: Vec | int, column: Vec | int) -> Vec | int:
        """Four codes: activations 4*quad .. 4*quad+3."""
        return quad * 4 + column * GROUP if self.by_column else quad * (4 * self.columns) + column * 4

    def scale(self, column: Vec | int) -> Vec | int:
        """The scale."""
        return self._behind(0, column)

    def sum(self, column: Vec | int) -> Vec | int:
        """scale * sum of codes."""
        return self._behind(1, column)

    def sums(self, column: Vec | int, group: int, first: int) -> Vec | int:
        """Sums of pairs of codes, two i16: of all 32 (group 32), or of the 16 that begin at `first`."""
        return self._behind(2 if group == GROUP else 3 + first // 16, column)

    def halves(self, column: Vec | int) -> Vec | int:
        """Sums of the first and of the last 16 codes, two i16."""
        return self._behind(5, column)

    def _behind(self, row: int, column: Vec | int) -> Vec | int:
        """The column's dword in a row behind the codes."""
        return column * 4 + 4 * (GROUP // 4 + row) * self.columns


def panel_bytes(width: int, n_tokens: int, columns: int) -> int:
    """Room for n_tokens rows of `width` activations in either layout, for one or many columns."""
    padded = -(-n_tokens // columns) * columns
    return padded * max(width * 4, -(-width // GROUP) * Record(1).bytes)
