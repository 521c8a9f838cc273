"""State-space layers as architectures share them: parameters to inherit, rows of tables, and the blocks.

Mamba (Gu & Dao 2023, arXiv 2312.00752) and Mamba 2 (Dao & Gu 2024, arXiv 2405.21060). A hybrid's layers of attention
are those with keys and values.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import islice
from numbers import Integral
from typing import Final

from llamachat.engine.graph import Convolution, Graph, HeadScan, Layer, Node, SelectiveScan, Steps
from llamachat.engine.models.base import Decoder, Heads
from llamachat.engine.models.params import LARGEST_COUNT, LONGEST_ARRAY, PerLayer, key, require
from llamachat.engine.models.tensors import Weights

MAX_TAPS: Final = 16
"""Of a short convolution; kernels are written out for each."""
MAX_STATE: Final = 256
"""Numbers that a column of a state-space layer keeps; kernels have room for so many."""

MAMBA: Final = """
blk.*.ssm_in.weight         2*n_inner n_embd
blk.*.ssm_conv1d.weight     n_inner n_taps
blk.*.ssm_conv1d.bias       n_inner
blk.*.ssm_x.weight          dt_rank+2*n_state n_inner
blk.*.ssm_dt.weight         n_inner dt_rank
blk.*.ssm_dt.bias           n_inner
blk.*.ssm_a                 n_inner n_state
blk.*.ssm_d                 n_inner
blk.*.ssm_out.weight        n_embd n_inner
"""

MAMBA_NORMS: Final = """
blk.*.ssm_dt_norm.weight    dt_rank
blk.*.ssm_b_norm.weight     n_state
blk.*.ssm_c_norm.weight     n_state
"""

MAMBA_2: Final = """
blk.*.ssm_in.weight         2*n_inner+2*n_group*n_state+dt_rank n_embd
blk.*.ssm_conv1d.weight     n_inner+2*n_group*n_state n_taps
blk.*.ssm_conv1d.bias?      n_inner+2*n_group*n_state
blk.*.ssm_dt.bias           dt_rank
blk.*.ssm_a                 dt_rank 1
blk.*.ssm_d                 dt_rank 1
blk.*.ssm_out.weight        n_embd n_inner
"""

MAMBA_2_NORM: Final = """
blk.*.ssm_norm.weight       n_group n_inner/n_group
"""

WITHOUT_HEADS: Final = {
    "attention.head_count": "there is no attention",
    "attention.head_count_kv": "there is no attention",
    "rope.dimension_count": "there is no attention",
    "feed_forward_length": "there is no feed-forward network",
}
"""Keys that files of models without attention have all the same."""


@dataclass(frozen=True)
class StateSpace(Decoder):
    """Columns of Mamba's layers: n_inner, which keep n_state numbers each; a convolution of n_taps rows before them.

    dt_rank: of the projection of steps; in Mamba 2 the number of heads.
    """

    n_taps: int = key("ssm.conv_kernel", high=MAX_TAPS)
    n_inner: int = key("ssm.inner_size")
    n_state: int = key("ssm.state_size", high=MAX_STATE)
    dt_rank: int = key("ssm.time_step_rank")


@dataclass(frozen=True)
class GroupedStateSpace(StateSpace):
    """Heads of Mamba 2, which share what is written and read in n_group groups."""

    n_group: int = key("ssm.group_count", 1)

    def __post_init__(self) -> None:
        """Also raises ModelFileError for heads that the columns or groups do not fill."""
        super().__post_init__()
        heads = f"{self.n_inner} columns cannot be {self.dt_rank} heads (ssm.time_step_rank)"
        require(self.n_inner % self.dt_rank == 0, heads, "ssm.inner_size")
        groups = f"{self.dt_rank} heads cannot be {self.n_group} groups"
        require(self.dt_rank % self.n_group == 0 and self.n_inner % self.n_group == 0, groups, "ssm.group_count")


def common_heads(value: object) -> int:
    """Of `attention.head_count_kv` the number that all layers with attention have; 0 stands for a layer without.

    Raises ValueError with what it should have been.
    """
    given = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    heads = {_count(one) for one in islice(given, LONGEST_ARRAY)} - {0}
    if len(heads) == 1 and (count := heads.pop()) is not None:
        return count
    raise ValueError("one number (1 or more) for all layers with attention, and 0 for the others")


def is_positive(value: object) -> int:
    """Whether a number of heads, or a flag, is not 0: 1 or 0. Raises ValueError with what it should have been."""
    count = _count(value)
    if count is None:
        raise ValueError("a whole number, 0 or more, or true or false")
    return int(count > 0)


def _count(value: object) -> int | None:
    """A whole number, 0 or more, or a flag, also one of NumPy (arrays hold them); None for anything else."""
    if isinstance(value, Integral):
        return int(value) if 0 <= int(value) <= LARGEST_COUNT else None
    return int(bool(value)) if isinstance(value, Hashable) and value in (False, True) else None


@dataclass(frozen=True)
class HybridHeads(Heads):
    """Layers of attention (attends 1) among others: those for which the file counts keys and values."""

    n_head_kv: int = key("attention.head_count_kv", parse=common_heads)
    attends: PerLayer[int] = key("attention.head_count_kv", parse=is_positive, per_layer=int)


def mamba(g: Graph, p: StateSpace, b: Weights, x: Node, layer: int, norm_eps: float | None = None) -> Node:
    """x, normed, through a layer of Mamba; norm_eps: steps, b and c are normed.

    They have weights where the table has `ssm_dt_norm`, `ssm_b_norm` and `ssm_c_norm`.
    """
    x, gate = g.split(g.linear(x, b.ssm_in), p.n_inner, p.n_inner)
    x = g.append(Convolution(p.n_inner, x, b.ssm_conv1d.weight, b.ssm_conv1d.bias, True, layer))
    parts = g.split(g.linear(x, b.ssm_x), p.dt_rank, p.n_state, p.n_state)
    if norm_eps is not None:
        names = ("ssm_dt_norm", "ssm_b_norm", "ssm_c_norm")
        own: list[Layer | None] = [getattr(b, name) if b.has(name) else None for name in names]
        parts = [g.rms_norm(part, norm, norm_eps) for part, norm in zip(parts, own, strict=True)]
    step, written, read = parts
    decays, skip = b.ssm_a.weight, b.ssm_d.weight
    y = g.append(SelectiveScan(p.n_inner, x, g.linear(step, b.ssm_dt), written, read, decays, skip, layer))
    return g.linear(g.glu(gate, y, "silu"), b.ssm_out)


def mamba_2(g: Graph, p: GroupedStateSpace, b: Weights, x: Node, layer: int, norm_eps: float) -> Node:
    """x, normed, through a layer of Mamba 2; its groups are normed where the table has `ssm_norm`."""
    shared = p.n_group * p.n_state
    width = p.n_inner + 2 * shared
    gate, x, steps = g.split(g.linear(x, b.ssm_in), p.n_inner, width, p.dt_rank)
    x = g.append(Convolution(width, x, b.ssm_conv1d.weight, b.ssm_conv1d.bias, True, layer))
    x, written, read = g.split(x, p.n_inner, shared, shared)
    steps = g.append(Steps(2 * p.dt_rank, steps, b.ssm_dt.weight, b.ssm_a.weight))
    y: Node = g.append(HeadScan(p.n_inner, x, steps, written, read, b.ssm_d.weight, p.dt_rank, p.n_group, layer))
    y = g.glu(gate, y, "silu")
    if b.has("ssm_norm"):
        y = g.rms_norm(y, b.ssm_norm, norm_eps)
    return g.linear(y, b.ssm_out)
