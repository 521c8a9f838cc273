"""The cut between body and head: after it only the rows are computed whose results are wanted."""

from collections.abc import Sequence

from llamachat.engine.graph import Node


def border(nodes: Sequence[Node]) -> int:
    """The index behind the last node that mixes rows or writes state.

    Before it every token must be computed, because later tokens read what it writes. Without such a node only the last
    one is behind, which must be computed for wanted rows alone.
    """
    mixing = [i + 1 for i, node in enumerate(nodes[:-1]) if node.mixes_rows]
    return mixing[-1] if mixing else len(nodes) - 1
