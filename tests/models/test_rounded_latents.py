"""A cache of halves changes latent attention by the rounding of its latents and by nothing else.

One rounded number can make a token choose another expert, and 27 layers multiply noise: deepseek2-lite is at NMSE
1.1e-2 from float32, almost all of it in one of 64 tokens (median 5e-4). So it is compared with float64 arithmetic on
latents that are rounded alike.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from golden_models import file_of, nmse, results

from llamachat.engine import graph as g
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.reference import evaluate, latent
from llamachat.engine.reference.evaluation import value


@pytest.mark.parametrize("name", ["deepseek2-lite", "deepseek2-lite-mla", "deepseek2"])
def test_halves_are_float64_on_rounded_latents(name: str) -> None:
    exact = latent.latent_attention

    def on_halves(node: g.LatentAttention, state: SimpleNamespace) -> np.ndarray:
        keys = state.values[node.k].astype(np.float16).astype(np.float64)
        values = {node.q: state.values[node.q], node.k: keys}
        return exact(node, SimpleNamespace(values=values))  # type: ignore[arg-type]

    tokens = results(name)["tokens"].tolist()
    with Model(file_of(name), 2) as model:
        graph = describe(model.file.metadata, model.file.tensors).graph()
        try:
            value.register(g.LatentAttention, on_halves)
            wanted = evaluate(graph, lambda one: model.file.tensors[one].data.view(np.float32), tokens)
        finally:
            value.register(g.LatentAttention, exact)
        assert nmse(model.context(64, "f16").eval(tokens, "all"), wanted) < 1e-5
        assert nmse(model.context(64, "f32").eval(tokens, "all"), wanted) > 1e-7
