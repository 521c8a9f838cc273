"""Constants of a model are arguments of launches: layers and models that differ in nothing else share every kernel."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse
from own_files import llama_shapes, write_random

from llamachat.engine import graph as g
from llamachat.engine.model import Model
from llamachat.engine.models import Architecture, describe, parts, register, unregister
from llamachat.engine.models.base import RotaryHeads
from llamachat.engine.models.params import PerLayer, key
from llamachat.engine.models.tensors import Weights
from llamachat.engine.reference import evaluate

N_LAYER = 4
TOKENS = np.random.default_rng(2).integers(0, 96, 40).tolist()
SIZES = {
    "context_length": 512,
    "embedding_length": 64,
    "block_count": N_LAYER,
    "feed_forward_length": 96,
    "attention.head_count": 4,
}


@dataclass(frozen=True)
class OddParams(RotaryHeads):
    """Every constant of a layer is its own."""

    embedding_scale: float = key("embedding_scale", 1.0)
    windows: PerLayer[int] = key("windows", 0, low=0, per_layer=int)
    scales: PerLayer[float] = key("scales", 1.0, per_layer=float)
    epsilons: PerLayer[float] = key("epsilons", 1e-5, per_layer=float)
    bases: PerLayer[float] = key("bases", 10_000.0, per_layer=float)


TENSORS = f"{parts.EMBEDDING}\n{parts.ATTENTION}\n{parts.GATED_FEED_FORWARD}"


def forward(graph: g.Graph, p: OddParams, w: Weights) -> g.Node:
    x = graph.embed(w.token_embd, p.embedding_scale)
    for layer, b in enumerate(w.blk):
        eps, rope = p.epsilons[layer], g.RopeSpec(p.n_rot, p.bases[layer], "halves", 1.0 + layer)
        h = graph.rms_norm(x, b.attn_norm, eps)
        own = {"scale": p.scales[layer], "window": p.windows[layer]}
        x = graph.add(x, parts.attention(graph, p, b, h, layer, rope, **own))
        x = graph.add(x, parts.gated_feed_forward(graph, b, graph.rms_norm(x, b.ffn_norm, eps), "silu"))
    return parts.logits(graph, w, x, p.norm_eps)


PLAIN: dict[str, object] = {"attention.layer_norm_rms_epsilon": 1e-5}
ODD: dict[str, object] = {
    "attention.layer_norm_rms_epsilon": 1e-3,
    "embedding_scale": 7.5,
    "windows": np.array([0, 1, 5, 17], np.int32),
    "scales": np.array([1, 0.25, 0.3, 2], np.float32),
    "epsilons": np.array([1e-6, 1e-2, 0.5, 1e-5], np.float32),
    "bases": np.array([100, 1e4, 1e5, 1e6], np.float32),
}


@pytest.fixture(autouse=True)
def architecture() -> Iterator[None]:
    register("odd", Architecture({}, OddParams, TENSORS, forward, {}))
    yield
    unregister("odd")


def write(folder: Path, constants: dict[str, object]) -> Path:
    path = folder / f"{len(constants)}.gguf"
    return write_random(path, "odd", {**SIZES, **constants}, llama_shapes(96, 64, 96, N_LAYER))


def run(model: Model) -> np.ndarray:
    """A prompt, some tokens, and a shift: every program that a model has."""
    context = model.context(512, "f32")
    found = [context.eval(TOKENS[:20], "all"), *(context.eval([token])[None] for token in TOKENS[20:])]
    context.remove(2, 9)
    return np.concatenate([*found, context.eval([3, 5], "all")])


def test_no_constant_makes_a_kernel_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path / "cache"))
    compiled = []
    for constants in (PLAIN, ODD):
        with Model(write(tmp_path, constants), 2, isa="generic") as model:
            run(model)
        compiled.append(len(list((tmp_path / "cache" / "objects").iterdir())))
    assert compiled[0] > 10  # else nothing was compared
    assert compiled[1] == compiled[0]


@pytest.mark.parametrize("constants", [PLAIN, ODD], ids=["the same in every layer", "another in every layer"])
def test_every_layer_has_its_own_constants(tmp_path: Path, constants: dict[str, object]) -> None:
    with Model(write(tmp_path, constants), 2) as model:
        spec = describe(model.file.metadata, model.file.tensors)
        wanted = evaluate(spec.graph(), lambda name: model.file.tensors[name].data.view(np.float32), TOKENS)
        assert nmse(run(model)[: len(TOKENS)], wanted) <= 1e-10
