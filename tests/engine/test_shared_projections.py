"""Values that are the keys before their rotation: one product has two readers, of which one rotates it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse
from own_files import llama_shapes, write_random

from llamachat.engine import graph as g
from llamachat.engine.model import Model
from llamachat.engine.models import describe, parts, register, unregister
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights
from llamachat.engine.reference import evaluate

TOKENS = np.random.default_rng(2).integers(0, 96, 40).tolist()
SIZES = {
    "context_length": 512,
    "embedding_length": 64,
    "block_count": 2,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
TENSORS = f"{parts.EMBEDDING}\n{parts.ATTENTION}\n{parts.GATED_FEED_FORWARD}"


def forward(graph: g.Graph, p: RotaryHeads, w: Weights) -> g.Node:
    x = graph.embed(w.token_embd)
    rope = g.RopeSpec(p.n_rot, p.rope_base, "halves")
    for layer, b in enumerate(w.blk):
        h = graph.rms_norm(x, b.attn_norm, p.norm_eps)
        q, k = graph.linear(h, b.attn_q), graph.linear(h, b.attn_k)
        heads = graph.attention(q, k, k, layer=layer, n_head=4, n_head_kv=4, scale=0.25, rope=rope)
        x = graph.add(x, graph.linear(heads, b.attn_output))
    return parts.logits(graph, w, x, p.norm_eps)


@pytest.fixture(autouse=True)
def architecture() -> Iterator[None]:
    register("shared", Architecture({}, RotaryHeads, TENSORS, forward, {}))
    yield
    unregister("shared")


def test_keys_are_rotated_and_the_values_that_they_are_made_of_are_not(tmp_path: Path) -> None:
    path = write_random(tmp_path / "shared.gguf", "shared", SIZES, llama_shapes(96, 64, 96, 2))
    with Model(path, 2) as model:
        spec = describe(model.file.metadata, model.file.tensors)
        wanted = evaluate(spec.graph(), lambda name: model.file.tensors[name].data.view(np.float32), TOKENS)
        context = model.context(512, "f32")
        found = [context.eval(TOKENS[:30], "all"), *(context.eval([token])[None] for token in TOKENS[30:])]
    assert nmse(np.concatenate(found), wanted) <= 1e-10
