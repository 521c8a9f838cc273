"""Panels: the layouts in which products read activations, for `columns` tokens at a time.

Quantised, one record per 32 activations of `columns` tokens c:
    codes   8 x [c] dwords, each four neighbouring activations as signed bytes
    scale   [c] float32      x is about scale * code
    sum     [c] float32      scale * (sum of the 32 codes); then the same of the first 16 and of the last 16
Floats: [k][c] float32. The last panel is padded; what its unused columns hold is computed and never read.
"""

GROUP = 32


class Record:
    """Offsets in a quantised record of `columns` columns."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.bytes = columns * (GROUP + 4 * 4)

    def code(self, quad: int, column: int) -> int:
        """Four codes: activations 4*quad .. 4*quad+3."""
        return 4 * (quad * self.columns + column)

    def scale(self, column: int) -> int:
        """The scale."""
        return GROUP * self.columns + 4 * column

    def sum(self, column: int, group: int, first: int) -> int:
        """scale * sum of codes: of all 32 (group 32), or of the 16 that begin at `first`."""
        part = 0 if group == GROUP else 1 + first // 16
        return (GROUP + 4 + 4 * part) * self.columns + 4 * column


def panel_bytes(width: int, n_tokens: int, columns: int) -> int:
    """Room for n_tokens rows of `width` activations in either layout, for one or many columns."""
    padded = -(-n_tokens // columns) * columns
    return padded * max(width * 4, -(-width // GROUP) * Record(1).bytes)
