"""What is done with a tensor's numbers on their way from a checkpoint into GGUF; one function for each word.

Each takes numbers (float32; of what is joined a list), and the whole numbers behind its word. Shapes follow from the
same functions, which therefore must not look at the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.errors import ModelFileError

Array = NDArray[Any]
Step = Callable[..., Any]


def turned(x: Array, n_head: int) -> Array:
    """Rows of each head from halves to adjacent pairs: HF turns dimension i with i + d/2, `llama` 2i with 2i + 1."""
    half = x.shape[0] // n_head // 2
    return x.reshape(n_head, 2, half, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def turned_part(x: Array, n_head: int, n_rot: int) -> Array:
    """The same where only the last n_rot rows of each head turn."""
    heads = x.reshape(n_head, -1, *x.shape[1:])
    kept, turning = heads[:, : heads.shape[1] - n_rot], heads[:, heads.shape[1] - n_rot :]
    flat = turning.reshape(-1, *x.shape[1:])
    return np.concatenate([kept, turned(flat, n_head).reshape(turning.shape)], axis=1).reshape(x.shape)


def plus_one(x: Array) -> Array:
    """x + 1: norms whose weights are kept as differences from 1."""
    return x + np.float32(1)


def minus_exp(x: Array) -> Array:
    """-exp(x)."""
    result: Array = -np.exp(x)
    return result


def squeezed(x: Array) -> Array:
    """Without dimensions of 1."""
    return x.squeeze()


def column(x: Array) -> Array:
    """[n] as [n, 1]."""
    return x.reshape(-1, 1)


def flat(x: Array) -> Array:
    """One dimension."""
    return x.reshape(-1)


def transposed(x: Array) -> Array:
    """The last two dimensions exchanged; a vector stays."""
    return x.swapaxes(-1, -2) if x.ndim > 1 else x


def head_of(x: Array, n_rows: int) -> Array:
    """The first n rows."""
    return x[:n_rows]


def half(x: Array, which: int) -> Array:
    """The first (0) or the second (1) half of the rows of each matrix; of a vector of its numbers."""
    axis = 0 if x.ndim == 1 else -2
    count = x.shape[axis] // 2
    return np.take(x, range(which * count, (which + 1) * count), axis)


def half_of_columns(x: Array, which: int) -> Array:
    """The same of the columns."""
    count = x.shape[-1] // 2
    return x[..., which * count : (which + 1) * count]


def every_other(x: Array, which: int) -> Array:
    """Rows 0, 2, 4 ... (0) or 1, 3, 5 ... (1) of each matrix, for gates and values that lie by turns."""
    return x[which::2] if x.ndim == 1 else x[..., which::2, :]


def every_other_column(x: Array, which: int) -> Array:
    """The same of the last dimension: numbers of a vector, columns of matrices."""
    return x[..., which::2]


def cut(x: Array, n_parts: int, which: int) -> Array:
    """One of n equal parts of the rows."""
    count = x.shape[0] // n_parts
    return x[which * count : (which + 1) * count]


def grouped(x: Array, n_groups: int) -> Array:
    """The rows as n groups: [n_groups, rows / n_groups, ...]."""
    return x.reshape(n_groups, -1, *x.shape[1:])


def q_k_v_of_heads(x: Array, n_head: int) -> Array:
    """Rows that are q, k, v of one head after the other become all queries, all keys, all values (NeoX, BLOOM)."""
    each = x.reshape(n_head, 3, -1, *x.shape[1:])
    return each.swapaxes(0, 1).reshape(x.shape)


def q_k_v_of_groups(x: Array, n_head: int, n_head_kv: int) -> Array:
    """Rows that are the queries, the key, the value of one group after the other, likewise (Falcon, InternLM 2)."""
    each = x.reshape(n_head_kv, n_head // n_head_kv + 2, -1, *x.shape[1:])
    parts = (each[:, :-2], each[:, -2], each[:, -1])
    return np.concatenate([part.reshape(-1, *x.shape[1:]) for part in parts])


def queries_of_groups(x: Array, n_head: int, n_head_kv: int) -> Array:
    """The queries alone of such rows."""
    each = x.reshape(n_head_kv, n_head // n_head_kv + 2, -1, *x.shape[1:])
    return each[:, :-2].reshape(-1, *x.shape[1:])


def key_of_groups(x: Array, n_head: int, n_head_kv: int) -> Array:
    """The keys alone."""
    each = x.reshape(n_head_kv, n_head // n_head_kv + 2, -1, *x.shape[1:])
    return each[:, -2].reshape(-1, *x.shape[1:])


def value_of_groups(x: Array, n_head: int, n_head_kv: int) -> Array:
    """The values alone."""
    each = x.reshape(n_head_kv, n_head // n_head_kv + 2, -1, *x.shape[1:])
    return each[:, -1].reshape(-1, *x.shape[1:])


def rows_of_heads(x: Array, n_head: int, first: int, count: int) -> Array:
    """Of the rows of each head those from the first on: [n_head, count, columns]."""
    heads = x.reshape(n_head, -1, *x.shape[1:])
    return heads[:, first : first + count]


def stacked(x: Sequence[Array]) -> Array:
    """What is joined, one matrix on another."""
    return np.concatenate(list(x))


def rows_by_turns(x: Sequence[Array], which: int) -> list[Array]:
    """Of joined tensors [n_expert, n_rows, ...] rows 0, 2, 4 ... (0) or 1, 3, 5 ... (1)."""
    return [one[:, which::2] for one in x]


def mxfp4(x: Sequence[Array]) -> Array:
    """Codes uint8 [..., n_blocks, 16] and scales uint8 [..., n_blocks] as blocks of MXFP4: uint8 [..., 17 n_blocks].

    In the checkpoint a byte has numbers 2i and 2i + 1, in a block i and i + 16 (gpt-oss; OCP Microscaling 1.0).
    """
    codes, scales = x
    numbers = np.stack([codes & 15, codes >> 4], axis=-1).reshape(*codes.shape[:-1], 32)
    packed = numbers[..., :16] | (numbers[..., 16:] << 4)
    blocks = np.concatenate([scales[..., None], packed], axis=-1)
    return blocks.reshape(*blocks.shape[:-2], -1)


STEPS: Final[Mapping[str, Step]] = {
    step.__name__: step
    for step in (
        *(turned, turned_part, plus_one, minus_exp, squeezed, column, flat, transposed, head_of, half),
        *(half_of_columns, every_other, every_other_column, cut, grouped, q_k_v_of_heads, q_k_v_of_groups),
        *(queries_of_groups, key_of_groups, value_of_groups, rows_of_heads, rows_by_turns, stacked, mxfp4),
    )
}


def run_steps(words: Sequence[str], numbers: Any, settings: Mapping[str, object], name: str) -> Array:
    """The result of a rule's steps. settings: metadata keys without the architecture's prefix.

    Raises ModelFileError where the tensor's shape and the model's sizes do not fit.
    """
    for word in words:
        step, *arguments = word.split(":")
        values = [_number(argument, settings, name) for argument in arguments]
        try:
            numbers = STEPS[step](numbers, *values)
        except (ValueError, IndexError, ZeroDivisionError) as error:
            shape = list(getattr(numbers, "shape", ()))
            raise ModelFileError(f"a tensor of shape {shape} does not fit config.json ({error})", where=name) from error
    result: Array = numbers
    return result


def _number(argument: str, settings: Mapping[str, object], name: str) -> int:
    """A whole number, or a setting, or a sum or difference of both: `attention.key_length-rope.dimension_count`."""
    left, minus, right = argument.partition("-")
    if minus:
        return _number(left, settings, name) - _number(right, settings, name)
    if argument.isdecimal():
        return int(argument)
    value = settings.get(argument)
    if isinstance(value, np.ndarray) and name.startswith("blk."):
        value = int(value[int(name.split(".")[1])])
    if not isinstance(value, int):
        raise ModelFileError(f"{argument} is not known, which the form of this tensor depends on", where=name)
    return value
