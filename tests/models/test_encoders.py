"""Encoders and embeddings: llama.cpp's numbers, and the same bits alone, together and on every instruction set."""

import numpy as np
import pytest
from golden_models import NAMES, file_of, nmse, results

from llamachat.engine.adapters import NONE
from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.embedding import Embedder, file_pooling, normalised
from llamachat.engine.gguf import open_gguf
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.quants.tensors import decode, read
from llamachat.engine.reading_context import ReadingContext
from llamachat.engine.reference import evaluate
from llamachat.engine.state.cache_types import CacheType
from llamachat.errors import ContextFull, UsageError

ENCODER_DECODERS = tuple(name for name in NAMES if "enc_tokens" in results(name))
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
    with Model(file_of(name), 2) as model:
        assert nmse(one(Embedder(model, "none"), tokens), wanted["embeddings_exact"]) <= 1e-8
        assert nmse(one(Embedder(model, "mean"), tokens), wanted["pooled_mean_exact"]) <= 1e-8
        assert file_pooling(model) == "cls"
        assert nmse(one(Embedder(model), tokens), wanted["pooled_cls_exact"]) <= 1e-8


@pytest.mark.parametrize("name", ENCODERS)
def test_the_reference_gives_them(name: str) -> None:
    file = open_gguf(file_of(name))
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
            with Model(file_of(name), threads, isa=isa, embeds=True, causal=causal) as model:
                embedder = Embedder(model, "none")
                together = list(embedder.embed(texts))
                alone = alone or [one(embedder, text) for text in texts]
            for a, b in zip(alone, together, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_texts", [2, 3, 4, 6, 12, 32])
@pytest.mark.parametrize("n_tokens", [1, 2, 3, 17])
def test_short_texts_in_a_small_step_do_not_share_places(n_texts: int, n_tokens: int) -> None:
    """Each text's keys take whole groups: more places than twice the rows of a small program."""
    texts = [[(i + j) % 60 + 1 for j in range(n_tokens)] for i in range(n_texts)]
    for isa in usable_isas():
        with Model(file_of("bert"), 1, isa=isa, embeds=True) as model:
            embedder = Embedder(model, "none")
            for text, together in zip(texts, embedder.embed(texts), strict=True):
                np.testing.assert_array_equal(one(embedder, text), together)


def test_a_longer_text_changes_no_factors_of_a_short_one() -> None:
    with Model(file_of("phi3-longrope"), 1, n_ctx=1024, embeds=True) as model:
        embedder, short = Embedder(model, "mean"), [5, 6, 7] * 20
        np.testing.assert_array_equal(one(embedder, short), next(embedder.embed([short, [5, 9, 7] * 220])))


def test_the_last_token_of_a_decoder_is_its_last_row() -> None:
    with Model(file_of("llama"), 2, embeds=True) as model:
        rows = one(Embedder(model, "none"), tokens_of("llama"))
        np.testing.assert_array_equal(one(Embedder(model), tokens_of("llama")), rows[-1])
    with Model(file_of("llama"), 2) as model:  # also where it was loaded to generate
        np.testing.assert_array_equal(one(Embedder(model), tokens_of("llama")), rows[-1])


def test_what_cannot_be_embedded_is_refused_before_anything_is() -> None:
    with Model(file_of("bert"), 1) as model:
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


def exact(name: str, key: str) -> np.ndarray:
    found = results(name)
    return found.get(f"{key}_exact", found[key])


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_an_encoder_and_a_decoder_give_exact_arithmetic_s_numbers(name: str) -> None:
    path, text, tokens = file_of(name), results(name)["enc_tokens"].tolist(), tokens_of(name)
    with Model(path, 2, embeds=True) as model:
        assert nmse(one(Embedder(model, "none"), text), exact(name, "enc_out")) <= 1e-8
    with Model(path, 2) as model:
        context = reading(model, "f32")
        assert context.read(text) == [0]
        assert nmse(context.eval(tokens, "all"), exact(name, "logits")) <= 1e-8
        halves = reading(model, "f16")
        halves.read(text)
        assert nmse(halves.eval(tokens, "all"), exact(name, "logits")) <= 1e-4


def reading(model: Model, cache_type: CacheType = "f32") -> ReadingContext:
    context = model.context(64, cache_type)
    assert isinstance(context, ReadingContext)
    return context


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_the_reference_knows_an_encoder_and_its_decoder(name: str) -> None:
    file, found = open_gguf(file_of(name)), results(name)
    spec = describe(file.metadata, file.tensors)

    def load(tensor: str) -> np.ndarray:
        one = file.tensors[tensor]
        return decode(one, read(file, one)).reshape(one.shape)

    assert nmse(evaluate(spec.embedding_graph(), load, found["enc_tokens"]), exact(name, "enc_out")) <= 1e-10
    given = {"encoder": load("token_embd.weight")[found["enc_tokens"]]}
    assert nmse(evaluate(spec.graph(), load, found["tokens"], given), exact(name, "logits")) <= 1e-10


@pytest.mark.parametrize("name", ENCODER_DECODERS)
@pytest.mark.parametrize("cache_type", ["f32", "f16"])
def test_neither_pieces_nor_threads_change_a_bit_of_an_answer(name: str, cache_type: CacheType) -> None:
    text, tokens, whole = results(name)["enc_tokens"].tolist(), tokens_of(name), None
    for isa in usable_isas():
        for threads, pieces in ((1, (48,)), (2, (1, 7, 30, 1, 9)), (3, (1,) * 48)):
            with Model(file_of(name), threads, isa=isa) as model:
                context = reading(model, cache_type)
                context.read([5, 6])  # what was read before leaves nothing
                context.eval(tokens[:3])
                context.read(text)
                found = np.concatenate([context.eval(tokens[context.n_past :][:n], "all") for n in pieces])
                whole = found if whole is None else whole
                np.testing.assert_array_equal(found, whole)
                context.truncate(20)
                np.testing.assert_array_equal(context.eval(tokens[20:], "all"), whole[20:])
                other = context.fork()
                other.truncate(10)
                np.testing.assert_array_equal(other.eval(tokens[10:], "all"), whole[10:])


def test_answers_of_a_text_stand_beside_those_of_others() -> None:
    name = "t5"
    text, tokens = results(name)["enc_tokens"].tolist(), tokens_of(name)
    with Model(file_of(name), 2) as model:
        contexts, alone = [reading(model) for _ in range(3)], []
        for i, context in enumerate(contexts):
            context.read(text[: 20 + 10 * i])
            alone.append(context.eval(tokens[: 4 + i], "all")[-1])
            context.truncate(3 + i)
        rows = BatchDecoder().eval(contexts, [[tokens[3 + i]] for i in range(3)])
        np.testing.assert_array_equal(rows, np.stack(alone))


def test_a_context_that_forgets_must_read_again() -> None:
    with Model(file_of("t5"), 1) as model:
        context = model.context(32)
        for forget in (
            context.forget,
            lambda: model.adapt(NONE, [context]),
            lambda: context.take_over(model.context()),
        ):
            start = context.read([5, 6, 7])
            wanted = context.eval(start)
            forget()
            with pytest.raises(UsageError, match="its encoder must read one first"):
                context.eval(start)
            context.read([5, 6, 7])
            assert (context.eval(start) == wanted).all()


def test_what_an_encoder_decoder_cannot_do_is_said() -> None:
    with Model(file_of("t5"), 1) as model:
        context = reading(model)
        with pytest.raises(UsageError, match="must read one first"):
            context.eval([0])
        with pytest.raises(ContextFull, match="513 tokens, more than the 512 that the encoder takes"):
            context.read([3] * 513)
        context.read([3])
        context.eval([0, 4])
        with pytest.raises(UsageError, match="cannot be kept"):
            context.memory(1)
        with pytest.raises(UsageError, match="loaded to generate"):
            Embedder(model)
        assert context.n_reusable == 0
