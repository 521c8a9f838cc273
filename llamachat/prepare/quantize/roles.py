"""What a tensor is for, by its name, and which tensors are never quantised: as llama.cpp's llama-quant.cpp."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a matrix does, as far as mixes tell them apart."""

    OUTPUT = "output"
    EMBEDDING = "token_embd"
    QKV = "attn_qkv"
    KV_B = "attn_kv_b"
    V = "attn_v"
    K = "attn_k"
    Q = "attn_q"
    ATTN_OUTPUT = "attn_output"
    UP = "ffn_up"
    GATE = "ffn_gate"
    DOWN = "ffn_down"
    OTHER = "other"


_WHOLE: Final = {
    "output.weight": Role.OUTPUT,
    "token_embd.weight": Role.EMBEDDING,
    "per_layer_token_embd.weight": Role.EMBEDDING,
}
_PARTS: Final = (
    *((f"{role}.weight", role) for role in (Role.QKV, Role.KV_B, Role.V, Role.K, Role.Q, Role.ATTN_OUTPUT)),
    *((str(role), role) for role in (Role.UP, Role.GATE, Role.DOWN)),
)

VALUES: Final = frozenset({Role.V, Role.QKV, Role.KV_B})
"""Roles that count as values of an attention: they lose most by few bits."""

_KEPT_PARTS: Final = (
    "_norm.weight",
    *("ffn_gate_inp.weight", "ffn_gate_tid2eid.weight"),
    *("altup", "laurel", "per_layer_model_proj"),
    *("ssm_conv1d", "shortconv.conv.weight"),
    *("indexer.k_proj.weight", "indexer.q_proj.weight"),
    *(
        f"time_mix_{name}.weight"
        for name in ("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2")
    ),
    *(f"time_mix_{name}.weight" for name in ("decay_w1", "decay_w2", "lerp_fused")),
    "attn_rel_b.weight",
    *(".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger"),
    *("a.rvq.codebook", "mm.a.code_embd"),
)
_KEPT: Final = re.compile("|".join(map(re.escape, _KEPT_PARTS)))
_KEPT_WHOLE: Final = frozenset({"position_embd.weight", "token_types.weight"})


def role_of(name: str) -> Role:
    """The role of the tensor of this name."""
    return _WHOLE.get(name) or next((role for part, role in _PARTS if part in name), Role.OTHER)


def is_quantised(name: str, shape: Sequence[int], *, leave_output: bool = False) -> bool:
    """Whether a tensor may get another type: a matrix called `...weight` that is neither small nor a table.

    shape: rows first.
    """
    sizes = list(shape)
    while len(sizes) > 1 and sizes[0] == 1:
        sizes.pop(0)
    is_matrix = len(sizes) >= 2 and name.endswith("weight")
    return (
        is_matrix
        and not _KEPT.search(name)
        and name not in _KEPT_WHOLE
        and not (leave_output and name == "output.weight")
    )


def layer_of(name: str) -> int:
    """The number in `blk.7.`; -1 where there is none."""
    found = re.match(r"blk\.(\d{1,9})\.", name, re.ASCII)
    return int(found[1]) if found else -1
