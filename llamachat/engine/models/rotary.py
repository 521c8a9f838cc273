"""Rotary embeddings as the metadata describe them: `rope.*` keys to a `RopeSpec`, with linear and YaRN scaling."""

import math
from typing import Protocol

from llamachat.engine.graph import Layer, RopeOrder, RopeSpec
from llamachat.engine.models.params import require


class RopeParams(Protocol):
    """The fields that `rope_spec` reads."""

    @property
    def n_rot(self) -> int: ...  # noqa: D102
    @property
    def rope_base(self) -> float: ...  # noqa: D102
    @property
    def rope_scaling(self) -> str: ...  # noqa: D102
    @property
    def rope_scale(self) -> float: ...  # noqa: D102
    @property
    def rope_attn_factor(self) -> float: ...  # noqa: D102
    @property
    def yarn_original(self) -> int: ...  # noqa: D102
    @property
    def yarn_beta_fast(self) -> float: ...  # noqa: D102
    @property
    def yarn_beta_slow(self) -> float: ...  # noqa: D102


def check_rope(p: RopeParams) -> None:
    """Raises ModelFileError where the scaling lacks something it needs."""
    sentence = "this metadata key is missing or 0, and YaRN cannot be computed without it"
    require(p.yarn_original > 0 or p.rope_scaling != "yarn", sentence, "rope.scaling.original_context_length")


def rope_spec(p: RopeParams, order: RopeOrder, factors: Layer | None) -> RopeSpec:
    """The rotary embedding of these parameters; `factors` divide the angle of each pair (Llama 3's `rope_freqs`).

    YaRN multiplies cos and sin by 1 + 0.1 ln(scale), never less than 1 (Peng et al. 2023, arXiv 2309.00071, section on
    attention temperature; the lower bound and the file's own attn_factor as in llama.cpp).
    """
    scale = 1.0 if p.rope_scaling == "none" else p.rope_scale
    yarn = p.rope_scaling == "yarn"
    growth = 1 + 0.1 * math.log(max(scale, 1.0)) if yarn else 1.0
    return RopeSpec(
        p.n_rot,
        p.rope_base,
        order,
        scale,
        factors.weight if factors else None,
        growth * p.rope_attn_factor,
        p.yarn_original if yarn else 0,
        p.yarn_beta_fast,
        p.yarn_beta_slow,
    )
