"""The language of a family's settings: a metadata key, and the names that `config.json` has for it.

    block_count            num_hidden_layers|n_layer
    feed_forward_length?   intermediate_size          # ? = only where config.json has one of them

Of several names the first that is there counts. Keys of `FLOATS` become float32, others stay as JSON has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from llamachat.errors import ModelFileError
from llamachat.prepare.convert.config import Config

LLM: Final = """
vocab_size?                          vocab_size
block_count                          num_hidden_layers|n_layer|n_layers|num_layers
context_length                       max_position_embeddings|n_ctx|n_positions|max_sequence_length|max_seq_len
embedding_length                     hidden_size|n_embd|d_model
feed_forward_length?                 intermediate_size|n_inner
attention.head_count?                num_attention_heads|n_head|n_heads
attention.head_count_kv?             num_key_value_heads
attention.key_length?                head_dim
attention.value_length?              head_dim
attention.layer_norm_rms_epsilon?    rms_norm_eps|norm_eps
attention.layer_norm_epsilon?        layer_norm_eps|layer_norm_epsilon
"""
"""What nearly every decoder has."""

EXPERTS: Final = """
expert_count                         num_local_experts|num_experts|n_routed_experts
expert_used_count                    num_experts_per_tok
expert_feed_forward_length?          moe_intermediate_size
"""

FLOATS: Final = (
    *("epsilon", "freq_base", "freq_base_swa", "factor", "_scale", "attention.scale", "softcapping", "weights_scale"),
    *("bias", "clamp_kqv", "multiplier", "_eps", "swiglu_clamp_exp", "beta_fast", "beta_slow"),
)
"""Ends of keys whose values are float32."""

GATINGS: Final[Mapping[object, int]] = {"softmax": 1, "sigmoid": 2}
"""`expert_gating_func` of what config.json calls the function of scores."""


def parse_settings(table: str, config: Config) -> dict[str, object]:
    """{metadata key without prefix: value} of a table. Raises ModelFileError for what is missing."""
    found: dict[str, object] = {}
    for line in table.splitlines():
        words = line.partition(" #")[0].split()
        if not words:
            continue
        key, names = words[0].rstrip("?"), words[1].split("|")
        value = config.first(names)
        if value is not None:
            found[key] = value
        elif not words[0].endswith("?"):
            raise ModelFileError("this setting is missing", config.path, names[0])
    return found


def as_metadata(settings: Mapping[str, object], path: object) -> dict[str, object]:
    """The settings with the types that GGUF has for them. Raises ModelFileError for values of other forms."""
    return {key: _typed(key, value, path) for key, value in settings.items()}


def _typed(key: str, value: object, path: object) -> object:
    if isinstance(value, bool | str | np.ndarray | np.generic):
        return value
    if isinstance(value, int | float):
        if key.endswith(FLOATS):
            return float(value)
        if isinstance(value, int) or value.is_integer():
            return int(value)
        return float(value)
    if isinstance(value, list) and value:
        if all(isinstance(one, bool) for one in value):
            return np.array(value, bool)
        if all(isinstance(one, int) and abs(one) < 1 << 31 for one in value):
            return np.array(value, np.int32)
        if all(isinstance(one, int | float) for one in value):
            return np.array(value, np.float32)
    raise ModelFileError(f"{key} cannot be {value!r:.80}", path)
