"""BERT, sentence encoders of its form, and cross-encoders with a classifier."""

from __future__ import annotations

from typing import Final

from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.family import GELU, Family, Settings

TENSORS: Final = """
embeddings.word_embeddings                          token_embd
embeddings.token_type_embeddings                    token_types
embeddings.position_embeddings                      position_embd
embeddings.position_ids                             -
embeddings.LayerNorm                                token_embd_norm
encoder.layer.*.attention.self.query                blk.*.attn_q
encoder.layer.*.attention.self.key                  blk.*.attn_k
encoder.layer.*.attention.self.value                blk.*.attn_v
encoder.layer.*.attention.output.dense              blk.*.attn_output
encoder.layer.*.attention.output.LayerNorm          blk.*.attn_output_norm
encoder.layer.*.intermediate.dense                  blk.*.ffn_up
encoder.layer.*.output.dense                        blk.*.ffn_down
encoder.layer.*.output.LayerNorm                    blk.*.layer_output_norm
"""

UNUSED: Final = """
pooler.dense                                        -
cls.predictions.bias                                -
cls.predictions.transform.dense                     -
cls.predictions.transform.LayerNorm                 -
cls.predictions.decoder                             -
cls.seq_relationship                                -
"""

CLASSIFIER: Final = """
pooler.dense                                        cls
classifier                                          cls.output
"""


def bert(config: Config, settings: Settings) -> Settings:
    """Every token sees all of its text."""
    config.must("position_embedding_type", ("absolute",))
    return {"attention.causal": False}


def pooled(table: str) -> str:
    """The table, also with the names that `bert.` stands before."""
    lines = [line for line in table.splitlines() if line and not line.startswith(("cls.", "classifier"))]
    return table + "\n".join(f"bert.{line}" for line in lines)


FAMILY: Final = Family(
    {"BertModel": "bert", "BertForMaskedLM": "bert"},
    pooled(TENSORS + UNUSED),
    only={"hidden_act": GELU},
    more=bert,
    without_effect="type_vocab_size gradient_checkpointing directionality pooler_fc_size pooler_num_attention_heads "
    "pooler_num_fc_layers pooler_size_per_head pooler_type",
    pre=("default",),
    rope=False,
)

RERANKER: Final = Family(
    {"BertForSequenceClassification": "bert"},
    pooled(TENSORS) + "\nbert.pooler.dense cls\npooler.dense cls\nclassifier cls.output\n",
    only={"hidden_act": GELU},
    more=lambda config, settings: bert(config, settings) | {"pooling_type": 4},
    without_effect=f"{FAMILY.without_effect} sentence_transformers",
    pre=("default",),
    rope=False,
)
