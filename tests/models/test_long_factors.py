"""Models whose angles are divided by other factors in long contexts: the size of the context decides, not the text's."""

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


@pytest.mark.parametrize("name", NAMES)
def test_keys_of_long_contexts_move_by_the_long_factors(name: str) -> None:
    tokens = results(name)["tokens"].tolist()
    with Model(FOLDER / f"{name}.gguf", 1, n_ctx=1024) as model:
        plain, grouped = model.context(1024, "f32"), model.context(1024, "f32", self_extend=(1, 16))
        grouped.eval(tokens)
        plain.eval(tokens)
        np.testing.assert_array_equal(grouped.eval([3]), plain.eval([3]))
