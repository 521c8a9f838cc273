"""Encoders and embeddings: llama.cpp's numbers, and the same bits alone, together and on every instruction set."""

import numpy as np
import pytest
from golden_models import FOLDER, NAMES, nmse, results

from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.embedding import Embedder, file_pooling, normalised
from llamachat.engine.gguf import open_gguf
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.quants.tensors import decode, read
from llamachat.engine.reference import evaluate
from llamachat.errors import ContextFull, UsageError

ENCODERS = tuple(name for name in NAMES if "embeddings" in results(name))
LENGTHS = (1, 5, 64, 33, 2, 17) * 5
"""More tokens than a step has, in texts of which some are shorter than a register."""


def tokens_of(name: str) -> list[int]:
    return [int(token) for token in results(name)["tokens"]]


def one(embedder: Embedder, tokens: list[int]) -> np.ndarray:
    return next(embedder.embed([tokens]))


@pytest.mark.parametrize("name", ENCODERS)
def test_embeddings_are_those_of_exact_arithmetic(name: str) -> None:
    wanted, tokens = results(name), tokens_of(name)
    with Model(FOLDER / f"{name}.gguf", 2) as model:
        assert nmse(one(Embedder(model, "none"), tokens), wanted["embeddings_exact"]) <= 1e-8
        assert nmse(one(Embedder(model, "mean"), tokens), wanted["pooled_mean_exact"]) <= 1e-8
        assert file_pooling(model) == "cls"
        assert nmse(one(Embedder(model), tokens), wanted["pooled_cls_exact"]) <= 1e-8


@pytest.mark.parametrize("name", ENCODERS)
def test_the_reference_gives_them(name: str) -> None:
    file = open_gguf(FOLDER / f"{name}.gguf")
    graph = describe(file.metadata, file.tensors).graph()
    found = evaluate(graph, lambda n: decode(file.tensors[n], read(file, file.tensors[n])), tokens_of(name))
    assert nmse(found, results(name)["embeddings_exact"]) <= 1e-10


@pytest.mark.parametrize(("name", "causal"), [*((name, None) for name in ENCODERS), ("llama", None), ("llama", False)])
def test_alone_or_together_a_text_has_the_same_bits(name: str, causal: bool | None) -> None:
    tokens = tokens_of(name)
    texts = [tokens[i : i + n] for i, n in enumerate(LENGTHS)]
    texts = [text or tokens[:1] for text in texts]
    alone: list[np.ndarray] = []
    for isa in usable_isas():
        for threads in (1, 3):
            with Model(FOLDER / f"{name}.gguf", threads, isa=isa, embeds=True, causal=causal) as model:
                embedder = Embedder(model, "none")
                together = list(embedder.embed(texts))
                alone = alone or [one(embedder, text) for text in texts]
            for a, b in zip(alone, together, strict=True):
                np.testing.assert_array_equal(a, b)


def test_the_last_token_of_a_decoder_is_its_last_row() -> None:
    with Model(FOLDER / "llama.gguf", 2, embeds=True) as model:
        rows = one(Embedder(model, "none"), tokens_of("llama"))
        np.testing.assert_array_equal(one(Embedder(model), tokens_of("llama")), rows[-1])
    with Model(FOLDER / "llama.gguf", 2) as model:  # also where it was loaded to generate
        np.testing.assert_array_equal(one(Embedder(model), tokens_of("llama")), rows[-1])


def test_what_cannot_be_embedded_is_refused_before_anything_is() -> None:
    with Model(FOLDER / "bert.gguf", 1) as model:
        embedder = Embedder(model)
        with pytest.raises(ContextFull, match="text 2 has 129 tokens, more than the 128 of the context"):
            embedder.embed([[1], [1] * 129])
        with pytest.raises(UsageError, match="empty"):
            embedder.embed([[]])
        with pytest.raises(UsageError, match="between 0 and 79"):
            embedder.embed([[80]])
        with pytest.raises(UsageError, match="no reranker"):
            Embedder(model, "rank")
        with pytest.raises(UsageError, match="is an encoder: it makes embeddings"):
            model.context()
        assert list(embedder.embed([])) == []


def test_normalisation() -> None:
    rows = np.array([[3, -4], [0, 0]], np.float32)
    for how, wanted in (("l2", [0.6, -0.8]), ("l1", [3 / 7, -4 / 7]), ("max", [0.75, -1]), ("none", [3, -4])):
        np.testing.assert_array_equal(normalised(rows, how), np.array([wanted, [0, 0]], np.float32))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="normalisation is one of"):
        normalised(rows, "l3")  # type: ignore[arg-type]
