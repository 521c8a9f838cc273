"""Embeddings as rows of a batch, hidden states as its results: against the float64 reference, and to the bit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse

from llamachat.engine import graph as g
from llamachat.engine.batch import EMBEDDED, Batch, Outputs, Wanted
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.context import Context
from llamachat.engine.inputs import embedding_inputs
from llamachat.engine.model import Model
from llamachat.engine.plan import Plan
from llamachat.engine.quants.tensors import decode
from llamachat.engine.reference import Evaluation, value
from llamachat.errors import ContextFull, UsageError

TOKENS = [int(t) for t in np.random.default_rng(2).integers(0, 80, 60)]
PIECES = ((0, 1), (1, 40), (40, 42), (42, 60))


@pytest.fixture(scope="module", params=["llama", "gemma3"])
def model(request: pytest.FixtureRequest, golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / f"{request.param}.gguf", 2, cache_type="f32", n_ctx=600) as model:
        yield model


def table(model: Model) -> np.ndarray:
    """The embeddings of all tokens, with the factor of Gemma: float32 [n_vocab, width]."""
    node = Plan(model.nodes).embedding
    assert isinstance(node, g.Embed)
    rows = decode(model.file.tensors[node.table.name]).reshape(node.table.shape)
    return rows * np.float32(node.factor)


def vectors(model: Model, n: int = 60) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((n, table(model).shape[1])).astype(np.float32)


def reference(model: Model, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(logits, hidden states) of a sequence of embeddings, float64."""
    plan = Plan(model.nodes)
    now = Evaluation(lambda name: decode(model.file.tensors[name]), np.zeros(len(embeddings), np.int64))
    for node in model.nodes:
        now.values[node] = embeddings.astype(np.float64) if node is plan.embedding else value(node, now)
    assert plan.hidden is not None
    return now.values[model.nodes[-1]], now.values[plan.hidden]


def test_embeddings_and_hidden_states_are_those_of_the_reference(model: Model) -> None:
    given = vectors(model)
    logits, hidden = reference(model, given)
    assert nmse(model.context().eval_embeddings(given, "all"), logits) <= 1e-8
    assert nmse(model.context().eval_embeddings(given, "all", wanted="hidden"), hidden) <= 1e-8


def test_the_embeddings_of_tokens_give_the_bits_of_the_tokens(model: Model) -> None:
    wanted, rows = model.context().eval(TOKENS, "all"), table(model)[TOKENS]
    np.testing.assert_array_equal(model.context().eval_embeddings(rows, "all"), wanted)
    context = model.context()
    pieces = [context.eval_embeddings(rows[i:j], "all") for i, j in PIECES]
    np.testing.assert_array_equal(np.concatenate(pieces), wanted)


def test_tokens_and_embeddings_follow_each_other(model: Model) -> None:
    wanted, context = model.context().eval(TOKENS, "all"), model.context()
    some = [context.eval(TOKENS[:20], "all"), context.eval_embeddings(table(model)[TOKENS[20:50]], "all")]
    np.testing.assert_array_equal(np.concatenate([*some, context.eval(TOKENS[50:], "all")]), wanted)
    assert context.tokens == [*TOKENS[:20], *[EMBEDDED] * 30, *TOKENS[50:]]
    context.truncate(45)
    np.testing.assert_array_equal(context.fork().eval(TOKENS[45:], "all"), wanted[45:])


def test_hidden_states_do_not_depend_on_how_tokens_were_cut(model: Model) -> None:
    whole, context = model.context().eval(TOKENS, "all", wanted="hidden"), model.context()
    pieces = [context.eval(TOKENS[i:j], "all", wanted="hidden") for i, j in PIECES]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(model.context().eval(TOKENS, wanted="hidden"), whole[-1])
    assert whole.shape == (60, table(model).shape[1])


def test_more_rows_than_a_batch_are_cut(model: Model) -> None:
    given = vectors(model, 530)
    context, cut = model.context(), model.context()
    progress: list[tuple[int, int]] = []
    last = context.eval_embeddings(given, progress=lambda done, total: progress.append((done, total)))
    assert progress == [(512, 530), (530, 530)]
    cut.eval_embeddings(given[:100])
    np.testing.assert_array_equal(cut.eval_embeddings(given[100:], wanted="hidden"), hidden_of(model, given))
    np.testing.assert_array_equal(last, model.context().eval_embeddings(given, "all")[-1])


def hidden_of(model: Model, given: np.ndarray) -> np.ndarray:
    return model.context().eval_embeddings(given, "all", wanted="hidden")[-1]


def test_rows_of_a_batch_want_what_they_want(model: Model) -> None:
    """Tokens and embeddings, logits and hidden states and nothing, in one batch: as each alone."""
    wanted, hidden = model.context().eval(TOKENS, "all"), model.context().eval(TOKENS, "all", wanted="hidden")
    context, rows = model.context(), table(model)[TOKENS]
    kinds = np.random.default_rng(7).integers(0, 4, 60).astype(np.uint8)
    ids = np.where(np.random.default_rng(8).random(60) < 0.5, EMBEDDED, TOKENS).astype(np.int32)
    rows[ids != EMBEDDED] = np.nan  # not to be read
    places, has_logits, has_hidden = np.arange(60), kinds & Wanted.LOGITS != 0, kinds & Wanted.HIDDEN != 0
    out = Outputs(
        np.empty((has_logits.sum(), model.n_vocab), np.float32), np.empty((has_hidden.sum(), rows.shape[1]), np.float32)
    )
    batch = Batch([context._state], ids, places, places, 60, kinds, rows, contiguous=True)
    context._forward.run(batch, out, Cancellation())
    np.testing.assert_array_equal(out.logits, wanted[has_logits])
    np.testing.assert_array_equal(out.hidden, hidden[has_hidden])


def test_rows_of_several_sequences_want_what_they_want(model: Model) -> None:
    contexts = [model.context() for _ in range(3)]
    for n, context in enumerate(contexts, 10):
        context.eval(TOKENS[:n])
    wanted = [context.fork().eval([7]) for context in contexts]
    rows = np.repeat(table(model)[7:8], 3, axis=0)
    places = np.array([context.n_past for context in contexts])
    kinds = np.array([Wanted.LOGITS, Wanted.NOTHING, Wanted.LOGITS], np.uint8)
    out = Outputs(np.empty((2, model.n_vocab), np.float32), np.empty((0, rows.shape[1]), np.float32))
    ids = np.array([7, EMBEDDED, EMBEDDED], np.int32)
    batch = Batch([context._state for context in contexts], ids, places, places, 3, kinds, rows)
    contexts[0]._forward.run(batch, out, Cancellation())
    np.testing.assert_array_equal(out.logits, [wanted[0], wanted[2]])


def test_they_need_no_kernels_of_their_own_and_nobody_pays_who_does_not_use_them(model: Model) -> None:
    with Model(Path(model.file.path), 2, cache_type="f32", n_ctx=600) as own:
        context = own.context()
        context.eval(TOKENS, "all")
        context.eval([1])
        engine = own._loaded._engine
        kernels, programs = set(engine.compiler._addresses), context._forward._programs
        assert not programs._lookups
        assert programs._input is None
        assert not any(embedded for _, embedded, _ in programs._bodies)
        context.eval_embeddings(vectors(own), "all", wanted="hidden")
        context.eval_embeddings(vectors(own, 1), wanted="hidden")
        assert set(engine.compiler._addresses) == kernels


def test_a_context_with_embeddings_goes_on_beside_others_but_cannot_be_kept(model: Model) -> None:
    context, other = model.context(), model.context()
    context.eval_embeddings(table(model)[TOKENS[:9]])
    other.eval(TOKENS[:9])
    rows = BatchDecoder().eval([context, other], [[4], [4]])
    np.testing.assert_array_equal(*rows)
    with pytest.raises(UsageError, match="embeddings were evaluated cannot be kept"):
        context.memory(10)


WRONG = [
    pytest.param(lambda rows: rows[0], r"must be floats \[n, \d+\], not float32 \[\d+\]", id="one vector"),
    pytest.param(lambda rows: rows[:, 1:], r"must be floats \[n, \d+\], not float32 \[60, \d+\]", id="too narrow"),
    pytest.param(lambda rows: rows[:0], r"not float32 \[0, \d+\]", id="none"),
    pytest.param(lambda rows: rows.astype(np.int64), "not int64", id="integers"),
    pytest.param(lambda rows: rows * np.inf, "numbers that are not finite", id="infinite"),
    pytest.param(lambda rows: rows.astype(np.float64) * 1e300, "numbers that are not finite", id="beyond float32"),
]


@pytest.mark.parametrize(("change", "why"), WRONG)
def test_what_is_no_embedding_is_refused(model: Model, change: object, why: str) -> None:
    context = model.context()
    with pytest.raises(UsageError, match=why):
        context.eval_embeddings(change(vectors(model)))  # type: ignore[operator]
    assert context.tokens == []


def test_too_many_are_refused_before_anything_is_evaluated(model: Model) -> None:
    context: Context = model.context(20)
    with pytest.raises(ContextFull, match="30 tokens do not fit"):
        context.eval_embeddings(vectors(model, 30))
    assert context.tokens == []


def test_something_else_cannot_be_wanted(model: Model) -> None:
    with pytest.raises(UsageError, match=r'"logits" or "hidden" states can be wanted, not \'all\''):
        model.context().eval([1], wanted="all")  # type: ignore[arg-type]


def test_a_model_that_looks_tokens_up_twice_takes_no_embeddings() -> None:
    graph = g.Graph()
    words, kinds = (graph.embed(g.Layer(g.Tensor(name, (80, 64)))) for name in ("words", "kinds"))
    graph.linear(graph.add(words, kinds), g.Layer(g.Tensor("out", (80, 64))))
    plan = Plan(graph.nodes)
    assert plan.embedding is None
    assert plan.hidden is graph.nodes[2]
    with pytest.raises(UsageError, match="reads token ids in several places"):
        embedding_inputs(np.zeros((1, 64), np.float32), plan)
