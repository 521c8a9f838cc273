"""Contexts: what is refused before anything is evaluated, going back, cancelling, and the memory plan of a model."""

import gc
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.backend.cpu.engine import BATCH
from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.errors import (
    Cancelled,
    ContextFull,
    ExitCode,
    ModelFileError,
    NotEnoughMemory,
    Unsupported,
    UsageError,
)

PROMPT = [int(t) for t in np.random.default_rng(0).integers(0, 80, 2 * BATCH + 60)]


@pytest.fixture(scope="module")
def path(golden: Path) -> Path:
    return golden / "archs" / "llama.gguf"


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[Model]:
    with Model(path, 2) as model:
        yield model


@pytest.fixture(scope="module")
def whole(model: Model) -> np.ndarray:
    """The logits after the prompt."""
    return model.context(2000).eval(PROMPT)


def test_a_prompt_that_does_not_fit_is_refused_with_its_numbers(model: Model) -> None:
    context = model.context(20)
    context.eval([1] * 15)
    with pytest.raises(ContextFull, match=r"6 tokens do not fit: 15 of the context's 20 are used") as refused:
        context.eval([1] * 6)
    assert refused.value.exit_code == ExitCode.CONTEXT
    assert context.n_past == 15


def test_a_context_can_be_filled_to_the_last_token(model: Model) -> None:
    context = model.context(20)
    context.eval([1] * 19)
    assert np.isfinite(context.eval([2])).all()
    assert context.n_past == context.n_ctx == 20


@pytest.mark.parametrize("tokens", [[-1], [0, 10**6], [2**40], [2**31]], ids=["negative", "beyond", "huge", "int32"])
def test_ids_outside_the_vocabulary_are_refused(model: Model, tokens: list[int]) -> None:
    context = model.context(20)
    with pytest.raises(UsageError, match=f"between 0 and {model.n_vocab - 1}"):
        context.eval(tokens)
    assert context.tokens == []


@pytest.mark.parametrize("tokens", [[], (), np.zeros(0, np.int32)], ids=["list", "tuple", "array"])
def test_nothing_to_evaluate_is_refused(model: Model, tokens: list[int]) -> None:
    with pytest.raises(UsageError, match="empty"):
        model.context(20).eval(tokens)


@pytest.mark.parametrize("n_ctx", [0, -5])
def test_a_context_without_room_is_refused(model: Model, n_ctx: int) -> None:
    with pytest.raises(UsageError, match=f"at least one token, not {n_ctx}"):
        model.context(n_ctx)


def test_an_unknown_cache_type_is_refused_by_name(model: Model) -> None:
    with pytest.raises(UsageError, match=r"'q3_k'.*known are f32, f16"):
        model.context(20, "q3_k")  # type: ignore[arg-type]


def test_the_context_remembers_its_tokens(model: Model) -> None:
    context = model.context(20)
    context.eval([5, 6])
    context.eval(np.array([7, 8]))
    assert context.tokens == [5, 6, 7, 8]
    assert context.n_past == 4


def test_what_was_forgotten_leaves_no_trace(model: Model, whole: np.ndarray) -> None:
    context = model.context(2000)
    context.eval([*PROMPT[:600], *[3] * 500])
    context.truncate(600)
    assert context.tokens == PROMPT[:600]
    np.testing.assert_array_equal(context.eval(PROMPT[600:]), whole)


def test_everything_can_be_forgotten(model: Model, whole: np.ndarray) -> None:
    context = model.context(2000)
    context.eval([4] * 1500)
    context.truncate(0)
    np.testing.assert_array_equal(context.eval(PROMPT), whole)


@pytest.mark.parametrize("n_past", [-1, 4])
def test_going_back_to_where_one_never_was_is_refused(model: Model, n_past: int) -> None:
    context = model.context(20)
    context.eval([1, 2, 3])
    with pytest.raises(UsageError, match=f"cannot go back to {n_past} tokens: 3 are evaluated"):
        context.truncate(n_past)


def test_progress_is_told_after_every_batch(model: Model) -> None:
    told: list[tuple[int, int]] = []
    model.context(2000).eval(PROMPT, progress=lambda done, total: told.append((done, total)))
    n = len(PROMPT)
    assert told == [(BATCH, n), (2 * BATCH, n), (n, n)]


def test_all_logits_end_with_the_last(model: Model, whole: np.ndarray) -> None:
    rows = model.context(2000).eval(PROMPT, "all")
    assert rows.shape == (len(PROMPT), model.n_vocab)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[-1], whole)


def test_logits_belong_to_the_caller(model: Model) -> None:
    context = model.context(20)
    first = context.eval([1])
    kept = first.copy()
    context.eval([2])
    np.testing.assert_array_equal(first, kept)


def test_contexts_of_a_model_do_not_disturb_each_other(model: Model, whole: np.ndarray) -> None:
    one, other = model.context(2000), model.context(2000, "f32")
    one.eval(PROMPT[:300])
    other.eval([9] * 700)
    np.testing.assert_array_equal(one.eval(PROMPT[300:]), whole)


def test_cancelling_keeps_the_finished_batches(model: Model, whole: np.ndarray) -> None:
    """Cancelled from another thread after the first batch; then the rest is evaluated as if nothing had been."""
    context = model.context(2000)

    def cancel_from_another_thread(done: int, total: int) -> None:
        if done == BATCH:
            thread = threading.Thread(target=context.cancel)
            thread.start()
            thread.join()

    with pytest.raises(Cancelled, match=f"after {BATCH} tokens") as stopped:
        context.eval(PROMPT, progress=cancel_from_another_thread)
    assert stopped.value.exit_code == ExitCode.INTERRUPT
    assert context.tokens == PROMPT[:BATCH]
    np.testing.assert_array_equal(context.eval(PROMPT[BATCH:]), whole)


def test_cancelling_while_native_code_runs_ends_the_evaluation(model: Model, whole: np.ndarray) -> None:
    """Whatever the moment is, what stays is a whole number of batches."""
    context = model.context(4000)
    tokens = PROMPT * 3
    begun = threading.Event()
    thread = threading.Thread(target=lambda: (begun.wait(), context.cancel()))
    thread.start()

    def evaluate_again_and_again() -> None:
        while True:  # an evaluation that ended too soon leaves the flag to the next
            context.truncate(0)
            context.eval(tokens, progress=lambda done, total: begun.set())

    with pytest.raises(Cancelled):
        evaluate_again_and_again()
    thread.join()
    assert context.n_past % BATCH == 0
    assert context.tokens == tokens[: context.n_past]
    context.truncate(0)
    np.testing.assert_array_equal(context.eval(PROMPT), whole)


def test_a_cancel_before_the_evaluation_stops_it(model: Model) -> None:
    context = model.context(20)
    context.cancel()
    with pytest.raises(Cancelled):
        context.eval([1])
    assert context.tokens == []


def test_a_cancel_can_be_taken_back(model: Model) -> None:
    context = model.context(20)
    context.cancel()
    context.resume()
    assert np.isfinite(context.eval([1])).all()


def test_cache_bytes_follow_the_type(model: Model) -> None:
    assert model.context(256, "f32").cache_bytes == 2 * model.context(256, "f16").cache_bytes > 0


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_threads_out_of_range_are_refused(path: Path, threads: int) -> None:
    with pytest.raises(UsageError, match=f"between 1 and 256, not {threads}"):
        Model(path, threads)


def test_an_unknown_instruction_set_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="unknown instruction set 'mmx'"):
        Model(path, isa="mmx")


def test_a_model_that_does_not_fit_is_refused_before_loading(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_MEMORY", "100K")
    with pytest.raises(NotEnoughMemory, match="100 kB are free") as refused:
        Model(path)
    assert refused.value.exit_code == ExitCode.MEMORY


def test_the_refusal_names_a_context_that_fits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_MEMORY", "50M")
    with pytest.raises(NotEnoughMemory) as refused:
        Model(path, n_ctx=10**8)
    advice = re.search(r"a context of (\d+) tokens would fit", str(refused.value))
    assert advice is not None
    with Model(path, n_ctx=int(advice[1])) as model:
        assert model.plan.total <= 50_000_000


def test_a_closed_model_leaves_no_threads(path: Path) -> None:
    before = set(threading.enumerate())
    with Model(path, 3) as model:
        assert model.device.n_threads == 3
        assert len(set(threading.enumerate()) - before) == 2
    assert set(threading.enumerate()) <= before


def test_a_closed_model_evaluates_nothing(golden: Path) -> None:
    model = Model(golden / "archs" / "llama.gguf", threads=2)
    context = model.context(64)
    context.eval([1])
    model.close()
    with pytest.raises(UsageError, match="closed"):
        context.eval([2])


def test_a_model_that_is_forgotten_ends_its_threads_before_its_code(golden: Path) -> None:
    before = threading.active_count()
    for _ in range(5):
        model = Model(golden / "archs" / "llama.gguf", threads=3)
        model.context(64).eval([1, 2, 3])
        del model
        gc.collect()
    assert threading.active_count() == before


def test_a_context_that_does_not_fit_what_is_free_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_MEMORY", "1M")
    with pytest.raises(NotEnoughMemory, match=r"3000000 tokens takes .*, 1 MB are free; \d+ tokens would"):
        model.context(3_000_000)
    assert model.context(100).n_ctx == 100


def test_logits_of_something_else_are_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="'All'"):
        model.context(20).eval([1], "All")  # type: ignore[arg-type]


def test_a_table_that_cannot_be_looked_up_is_refused_before_anything_is_packed(golden: Path, tmp_path: Path) -> None:
    file = open_gguf(golden / "archs" / "llama.gguf")
    rows = [(t.name, t.type.name, t.shape, np.asarray(t.data)) for t in file.tensors.values()]
    wrong = [(n, "I32" if n == "token_embd.weight" else kind, shape, data) for n, kind, shape, data in rows]
    write_gguf(tmp_path / "a.gguf", dict(file.metadata.items()), wrong)
    with pytest.raises(Unsupported, match="I32") as refused:
        Model(tmp_path / "a.gguf", 1)
    assert refused.value.exit_code == ExitCode.MODEL


def test_more_tokens_than_the_model_knows_are_the_file_s_fault(golden: Path, tmp_path: Path) -> None:
    file = open_gguf(golden / "archs" / "llama.gguf")
    rows = [(t.name, t.type.name, t.shape, np.asarray(t.data)) for t in file.tensors.values()]
    vocabulary = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [f"t{i}" for i in range(500)],
        "tokenizer.ggml.scores": np.zeros(500, np.float32),
        "tokenizer.ggml.token_type": np.ones(500, np.int32),
    }
    write_gguf(tmp_path / "a.gguf", {**dict(file.metadata.items()), **vocabulary}, rows)
    with Model(tmp_path / "a.gguf", 1) as model, pytest.raises(ModelFileError, match="500 tokens, the model only"):
        _ = model.tokenizer


def test_a_context_of_another_size_takes_over_what_fits(model: Model, whole: np.ndarray) -> None:
    before = model.context(2000)
    before.eval(PROMPT[:-1])
    larger, smaller = model.context(3000), model.context(100)
    larger.take_over(before)
    assert larger.tokens == PROMPT[:-1]
    np.testing.assert_array_equal(larger.eval(PROMPT[-1:]), whole)
    smaller.eval([7] * 50)
    smaller.take_over(before)
    assert (smaller.tokens, smaller.n_reusable) == (PROMPT[:100], 100)
    smaller.truncate(60)
    alone = model.context(100)
    alone.eval(PROMPT[:60])
    np.testing.assert_array_equal(smaller.eval([5]), alone.eval([5]))


def test_nothing_is_taken_over_that_means_something_else(model: Model) -> None:
    before, grouped = model.context(200), model.context(200, self_extend=(2, 64))
    before.eval(PROMPT[:100])
    grouped.eval(PROMPT[:100])
    for source, other in ((before, model.context(200, "bf16")), (before, grouped), (grouped, before)):
        other.take_over(source)
        assert (other.tokens, other.n_reusable) == ([], 0)
    before.eval(PROMPT[:100])
    before.remove(10, 50)  # those behind the gap know of it
    other = model.context(200)
    other.take_over(before)
    assert other.tokens == PROMPT[:10]
