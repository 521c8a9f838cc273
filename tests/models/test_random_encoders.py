"""Encoders and rerankers without golden files: tiny random ones against what llama.cpp makes of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from golden_models import file_of, nmse
from random_models import ENCODERS, VOCABULARY, write_tiny

from llamachat.engine.embedding import Embedder
from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.reference import evaluate
from llamachat.errors import ModelFileError, Unsupported

TOKENS = [int(token) for token in np.random.default_rng(3).integers(1, VOCABULARY, 48)]

LLAMA_CPP: Mapping[str, list[float]] = {
    "jina-bert-v2": [2.37513, -0.53987, -2.33428, -0.56122, 3.29878, -1.0149, 1.49274, 1.27031],
    "jina-bert-v3": [0.14187, -0.40743, 0.7383, 1.30146, 1.08305, -0.26153, 0.51584, 1.22336],
    "nomic-bert-moe": [0.86775, -0.30609, -0.88092, 1.37494, 1.09153, 0.51186, 0.78338, 0.36145],
    "modern-bert": [0.59851, 1.11942, 1.15289, 0.36592, -0.92132, 1.50696, 2.5017, 0.48767],
    "gemma-embedding": [0.60003, -0.22773, -0.95673, 0.0935, 1.14526, -0.04342, 0.08289, 1.51498],
}
"""The first numbers of the last token, of llama-cpp-python 0.3.36 (NMSE of all: 4e-7 at most; its GELU is a table)."""


@pytest.mark.parametrize("name", ENCODERS)
def test_embeddings_are_those_of_llama_cpp_and_of_the_reference_in_every_way(name: str, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", name)
    tensors = {one.name: np.asarray(one.data).view(np.float32) for one in open_gguf(path).tensors.values()}
    texts = [TOKENS, TOKENS[:1], TOKENS[5:22], TOKENS[::-1]]
    with Model(path, 1) as model, Model(path, 3, isa="generic") as other:
        found = [next(Embedder(model, "none").embed([text])) for text in texts]
        np.testing.assert_allclose(found[0][-1][:8], LLAMA_CPP[name], atol=5e-3)
        assert nmse(found[0], evaluate(model.spec.graph(), tensors.__getitem__, TOKENS)) <= 1e-9
        for alone, together in zip(found, Embedder(other, "none").embed(texts), strict=True):
            np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("name", ["modern-bert", "gemma-embedding"])
def test_layers_with_windows_see_half_of_one_to_either_side(name: str, tmp_path: Path) -> None:
    """A text is that of a wider window up to that length, and not beyond."""
    path = write_tiny(tmp_path / "tiny.gguf", name)
    wider = {f"{name}.attention.sliding_window": 96}
    with Model(path, 1) as model, Model(path, 1, overrides=wider) as other:
        for n, same in ((9, True), (10, False)):
            a, b = (next(Embedder(one, "none").embed([TOKENS[:n]])) for one in (model, other))
            assert np.array_equal(a, b) == same


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("nomic-bert-moe", "expert_used_count", 5, "expert_used_count"),
        ("nomic-bert-moe", "moe_every_n_layers", 3, r"blk\.1\.ffn|blk\.2\.ffn|blk\.3\.ffn"),
        ("nomic-bert-moe", "expert_count", 1 << 20, "expert_count"),
        ("modern-bert", "rope.dimension_count", 7, "can turn"),
        ("modern-bert", "attention.sliding_window", 0, "sliding_window"),
        ("gemma-embedding", "attention.causal", True, "causal"),
        ("jina-bert-v3", "attention.head_count", 3, "head"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(name: str, key: str, value: object, said: str, tmp_path: Path) -> None:
    file = open_gguf(write_tiny(tmp_path / "tiny.gguf", name))
    metadata = dict(file.metadata.items()) | {f"{name}.{key}": value}
    with pytest.raises((ModelFileError, Unsupported), match=said):
        describe(metadata, file.tensors)


def test_a_decoder_with_a_classifier_is_a_reranker(tmp_path: Path) -> None:
    """As of Qwen3-Reranker: two rows, yes and no, of which the shares are the score; the last token's state."""
    source, path = open_gguf(file_of("qwen3")), tmp_path / "reranker.gguf"
    width = int(source.metadata["qwen3.embedding_length"])  # type: ignore[call-overload]
    tensors = [(one.name, one.type.name, one.shape, np.asarray(one.data)) for one in source.tensors.values()]
    classifier = np.random.default_rng(4).standard_normal((2, width), np.float32) * 0.1
    tensors.append(("cls.output.weight", "F32", classifier.shape, classifier))
    labels = {"qwen3.pooling_type": 4, "qwen3.classifier.output_labels": ["yes", "no"]}
    write_gguf(path, dict(source.metadata.items()) | labels, tensors)
    with Model(path, 2) as model:
        embedder = Embedder(model)
        scores = next(embedder.embed([TOKENS]))
        state = next(Embedder(model, "last").embed([TOKENS])).astype(np.float64)
    shares = np.exp(classifier.astype(np.float64) @ state)
    np.testing.assert_allclose(scores, shares / shares.sum(), rtol=1e-6)
    np.testing.assert_allclose(scores, RERANKER, atol=2e-4)  # its cache has halves


RERANKER = (0.33946, 0.66054)
"""What llama-cpp-python 0.3.36 makes of it."""
