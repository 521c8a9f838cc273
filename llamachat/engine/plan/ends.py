"""What goes into a forward pass besides tokens, and what comes out of it besides logits."""

from collections.abc import Sequence

from llamachat.engine.graph import Node, Norm, Role


def embedding(nodes: Sequence[Node]) -> Node | None:
    """The operation that looks token ids up in a table, whose value a row may bring with it instead.

    None where there is no such operation, or several: then a vector in place of one would not say what the others read.
    """
    found = [node for node in nodes if any(use.role is Role.TABLE for use in node.weights)]
    return found[0] if len(found) == 1 else None


def hidden(nodes: Sequence[Node]) -> Node | None:
    """What the output head reads: the first input of the last operation that multiplies with a matrix.

    The last value itself where a norm stands behind that: a model without output head ends so.
    """
    for node in reversed(nodes):
        if isinstance(node, Norm):
            return nodes[-1]
        if node.inputs and any(use.role is Role.MATRIX for use in node.weights):
            return node.inputs[0]
    return None
