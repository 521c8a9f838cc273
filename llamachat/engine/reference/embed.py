"""Embeddings of tokens and of positions."""

import numpy as np

from llamachat.engine.graph import AddPositions, Embed
from llamachat.engine.reference.evaluation import Evaluation, Floats, value
from llamachat.errors import UsageError


@value.register
def embed(node: Embed, state: Evaluation) -> Floats:
    """Rows of the table [n_vocab, width] times the factor: [n_tokens, width]. Raises UsageError for other ids."""
    n_vocab = node.table.shape[0]
    if not len(state.tokens) or state.tokens.min() < 0 or state.tokens.max() >= n_vocab:
        raise UsageError(f"tokens must be at least one and lie between 0 and {n_vocab - 1}")
    table = state.load(node.table.name).reshape(node.table.shape)
    rows: Floats = table[state.tokens].astype(np.float64)
    return rows * node.factor


@value.register
def add_positions(node: AddPositions, state: Evaluation) -> Floats:
    """x [n_tokens, width] + the first rows of the table [n_positions, width]. Raises UsageError for too many tokens."""
    x, table = state.values[node.x], state.weight(node.table)
    if len(x) > len(table):
        raise UsageError(f"{len(x)} tokens, but the model has only {len(table)} positions")
    return x + table[: len(x)]
