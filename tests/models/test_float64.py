"""The float64 reference of every architecture against llama.cpp's logits."""

import gguf
import numpy as np
import pytest
from golden_models import DECODERS, FOLDER, logits, nmse, results

from llamachat.engine.models import describe
from llamachat.engine.reference import evaluate


@pytest.mark.parametrize("name", DECODERS)
def test_the_reference_gives_the_golden_logits(name: str) -> None:
    reader = gguf.GGUFReader(FOLDER / f"{name}.gguf")
    metadata = {key: entry.contents() for key, entry in reader.fields.items()}
    tensors = {t.name: np.asarray(t.data).reshape([int(n) for n in reversed(t.shape)]) for t in reader.tensors}
    found = results(name)
    spec = describe(metadata, tensors)
    assert spec.unknown_keys == ()
    wanted = logits(found).astype(np.float64)
    assert nmse(evaluate(spec.graph(), tensors.__getitem__, found["tokens"]), wanted) <= 1e-9
