"""What RWKV's versions share: parameters to inherit, rows of tables, and small blocks."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Layer, Linear, Mix, Node
from llamachat.engine.models.base import Decoder
from llamachat.engine.models.params import key, require
from llamachat.engine.models.tensors import Weights
from llamachat.errors import ModelFileError

MAX_HEAD: Final = 256
"""Dimensions of a head; kernels have room for so many."""

HEAD_EPS: Final = 64e-5
"""Of the norm over each head, in all files."""

ENDS: Final = """
token_embd.weight                   n_vocab n_embd
token_embd_norm.weight              n_embd
token_embd_norm.bias                n_embd
output_norm.weight                  n_embd
output_norm.bias                    n_embd
output.weight                       n_vocab n_embd
"""

LAYER: Final = """
blk.*.attn_norm.weight              n_embd
blk.*.attn_norm.bias                n_embd
blk.*.attn_norm_2.weight            n_embd
blk.*.attn_norm_2.bias              n_embd
blk.*.time_mix_receptance.weight    n_embd n_embd
blk.*.time_mix_key.weight           n_embd n_embd
blk.*.time_mix_value.weight         n_embd n_embd
blk.*.time_mix_output.weight        n_embd n_embd
blk.*.channel_mix_lerp_k.weight     n_embd
blk.*.channel_mix_key.weight        n_ff n_embd
blk.*.channel_mix_value.weight      n_embd n_ff
"""

WITHOUT_EFFECT: Final = {
    "attention.head_count": "there is no attention",
    "attention.layer_norm_rms_epsilon": "all norms are layer norms",
}


@dataclass(frozen=True)
class TimeMixing(Decoder):
    """Heads of head_dim keys and values."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)
    head_dim: int = key("wkv.head_size", high=MAX_HEAD)
    n_shifts: int = key("token_shift_count", 2, only=(2,))

    def __post_init__(self) -> None:
        """Also raises ModelFileError for heads that do not fill the residual stream."""
        super().__post_init__()
        sentence = f"is {self.head_dim}, which does not divide embedding_length {self.n_embd}"
        require(self.n_embd % self.head_dim == 0, sentence, "wkv.head_size")


def mix(g: Graph, x: Node, before: Node, share: Layer) -> Node:
    """x + (before - x) * share."""
    return g.append(Mix(x.width, x, before, share.weight))


def linear_plus(g: Graph, x: Node, matrix: Layer, vector: Layer) -> Node:
    """x W^T + a vector that has a name of its own."""
    return g.append(Linear(matrix.weight.shape[0], x, matrix.weight, vector.weight))


def needed(b: Weights, layer: int, name: str) -> Layer:
    """A tensor of a layer. Raises ModelFileError where the file lacks it."""
    if not b.has(name):
        raise ModelFileError("this tensor is missing", where=f"blk.{layer}.{name}.weight")
    found: Layer = getattr(b, name)
    return found
