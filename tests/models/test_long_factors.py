"""Models whose angles are divided by other factors in long contexts: the context's size decides."""

import numpy as np
import pytest
from golden_models import DECODERS, FOLDER, nmse, results

from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.reference import evaluate

NAMES = [name for name in DECODERS if "logits_long" in results(name)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("which", "logits"), [(0, "logits"), (1, "logits_long")])
def test_the_size_of_the_context_chooses_the_factors(name: str, which: int, logits: str) -> None:
    found = results(name)
    tokens, n_ctx = found["tokens"].tolist(), int(found["n_ctx"][which])
    with Model(FOLDER / f"{name}.gguf", 1, n_ctx=n_ctx) as model:
        assert nmse(model.context(n_ctx, "f32").eval(tokens, "all"), found[logits]) <= 1e-8
        graph, tensors = describe(model.file.metadata, model.file.tensors).graph(), model.file.tensors
        wanted = evaluate(graph, lambda key: tensors[key].data.view(np.float32), tokens, n_ctx=n_ctx)
        assert nmse(wanted, found[logits]) <= 1e-9
