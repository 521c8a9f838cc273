"""T5 and Flan-T5: an encoder and a decoder, whose first layer's distances serve all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.family import Family, Settings
from llamachat.prepare.convert.source import Source

EMBEDDINGS: Final = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")

ENDS: Final = """
shared                                  token_embd
encoder.embed_tokens                    token_embd
decoder.embed_tokens                    token_embd
encoder.final_layer_norm                enc.output_norm
decoder.final_layer_norm                dec.output_norm
lm_head                                 output
"""


def side(name: str, short: str, last: int) -> str:
    """The rows of a side's layers. last: the number of the feed-forward network."""
    attention, forward = f"{name}.block.*.layer.0", f"{name}.block.*.layer.{last}"
    names = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_o", "relative_attention_bias": "attn_rel_b"}
    rows = [f"{attention}.SelfAttention.{own} {short}.blk.*.{other}" for own, other in names.items()]
    rows += [f"{attention}.layer_norm {short}.blk.*.attn_norm", f"{forward}.layer_norm {short}.blk.*.ffn_norm"]
    wires = {"wi": "ffn_up", "wi_0": "ffn_gate", "wi_1": "ffn_up", "wo": "ffn_down"}
    rows += [f"{forward}.DenseReluDense.{own} {short}.blk.*.{other}" for own, other in wires.items()]
    return "\n".join(rows) + "\n"


CROSS: Final = """
decoder.block.*.layer.1.EncDecAttention.q                        dec.blk.*.cross_attn_q
decoder.block.*.layer.1.EncDecAttention.k                        dec.blk.*.cross_attn_k
decoder.block.*.layer.1.EncDecAttention.v                        dec.blk.*.cross_attn_v
decoder.block.*.layer.1.EncDecAttention.o                        dec.blk.*.cross_attn_o
decoder.block.*.layer.1.EncDecAttention.relative_attention_bias  dec.blk.*.cross_attn_rel_b
decoder.block.*.layer.1.layer_norm                               dec.blk.*.cross_attn_norm
"""

SETTINGS: Final = """
vocab_size?                         vocab_size
context_length                      n_positions
embedding_length                    d_model
feed_forward_length                 d_ff
block_count                         num_layers
decoder_block_count?                num_decoder_layers
attention.head_count                num_heads
attention.key_length                d_kv
attention.value_length              d_kv
attention.layer_norm_epsilon        layer_norm_epsilon
attention.layer_norm_rms_epsilon    layer_norm_epsilon
attention.relative_buckets_count    relative_attention_num_buckets
decoder_start_token_id?             decoder_start_token_id
"""


def t5(config: Config, settings: Settings) -> Settings:
    """Raises Unsupported for distances and activations that the architecture does not compute with."""
    config.must("relative_attention_max_distance", (128,))
    config.must("feed_forward_proj", ("relu", "gated-gelu"))
    config.must("dense_act_fn", ("relu", "gelu_new", "gelu"))
    return {}


def one_embedding(config: Config, tensors: Mapping[str, Source]) -> Mapping[str, Source]:
    """Both sides share one embedding, which files have under one to three names."""
    there = [name for name in EMBEDDINGS if name in tensors]
    found = {name: one for name, one in tensors.items() if name not in there[1:]}
    if config.first(("tie_word_embeddings",), True):
        found.pop("lm_head.weight", None)
    return found


FAMILY: Final = Family(
    {"T5ForConditionalGeneration": "t5", "T5WithLMHeadModel": "t5"},
    ENDS + side("encoder", "enc", 1) + side("decoder", "dec", 2) + CROSS,
    SETTINGS,
    defaults={"n_positions": 512, "decoder_start_token_id": 0},
    more=t5,
    chosen=one_embedding,
    without_effect="is_gated_act scale_decoder_outputs output_past",
    pre=("default",),
    rope=False,
    tied=False,
)
