"""`from llamachat import Model`: what a program sees of the package."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_data import needed

import llamachat
from llamachat import Context, Event, LlamaChatError, Model, Tokenizer
from llamachat.dialogue.prompts import check_length
from llamachat.engine.generate import Stop, Token
from llamachat.errors import ContextFull, UsageError

QUESTION = [{"role": "user", "content": "Name three fruits."}]


@pytest.fixture(scope="module")
def model(smollm2: Path) -> Iterator[Model]:
    with Model(smollm2, 2) as model:
        yield model


def test_the_names_of_the_package_are_these() -> None:
    names = ["Adapters", "Context", "Event", "LlamaChatError", "Model", "Tokenizer", "__version__"]
    assert llamachat.__all__ == names
    assert all(hasattr(llamachat, name) for name in llamachat.__all__)


def test_a_text_that_cannot_fit_is_refused_before_it_is_tokenized(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> list[int]:
        raise AssertionError("tokenized")

    monkeypatch.setattr(model.tokenizer, "encode", never)
    text = "many words " * 100_000
    context = model.context(256)
    with pytest.raises(ContextFull, match=r"has \d+ tokens or more, but the context holds 256"):
        model.generate(text, context=context)
    with pytest.raises(ContextFull, match=r"has \d+ tokens or more, but the context holds 256"):
        model.chat([{"role": "user", "content": text}], context=context)


def test_blanks_that_a_template_takes_away_do_not_count(model: Model) -> None:
    check_length(model.tokenizer, "hello" + " " * 1_000_000, 256)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="'llamachat' has no attribute 'Modell'"):
        llamachat.Modell  # noqa: B018


@pytest.mark.parametrize("name", ["llama-bpe", "llama-spm", "gpt-2", "phi-3"])
def test_a_vocabulary_alone_makes_a_tokenizer(golden: Path, name: str) -> None:
    tokenizer = Tokenizer(needed(golden / "tokenizers" / f"ggml-vocab-{name}.gguf"))
    ids = tokenizer.encode("Hello, world!", add_special=False, parse_special=False)
    assert len(ids) > 1
    assert tokenizer.decode(ids).strip() == "Hello, world!"


@pytest.mark.real
def test_text_becomes_tokens_and_text_again(model: Model) -> None:
    ids = model.tokenize("Once upon a time", add_special=False)
    assert ids == model.tokenizer.encode("Once upon a time", add_special=False)
    assert model.detokenize(ids) == "Once upon a time"


@pytest.mark.real
def test_special_tokens_are_read_only_when_asked_for(model: Model) -> None:
    assert len(model.tokenize("<|im_start|>", add_special=False, parse_special=True)) == 1
    assert len(model.tokenize("<|im_start|>", add_special=False)) > 1


@pytest.mark.real
def test_a_context_evaluates_to_logits(model: Model) -> None:
    context = model.context(n_ctx=64, cache_type="f32")
    assert isinstance(context, Context)
    ids = model.tokenize("The capital of France is")
    rows = context.eval(ids, logits="all")
    assert rows.shape == (len(ids), model.n_vocab)
    assert rows.dtype == np.float32
    assert model.detokenize([int(rows[-1].argmax())]) == " Paris"


@pytest.mark.real
def test_a_text_is_continued_as_a_stream_of_events(model: Model) -> None:
    *tokens, stop = model.generate("The capital of France is", max_tokens=5, temp=0)
    assert all(isinstance(event, Event) for event in (*tokens, stop))
    assert all(isinstance(event, Token) for event in tokens)
    assert isinstance(stop, Stop)
    assert stop.reason == "length"
    assert "".join(event.text for event in (*tokens, stop)).startswith(" Paris")


@pytest.mark.real
def test_token_ids_are_a_prompt_too(model: Model) -> None:
    prompt = "The capital of France is"
    by_text, by_ids = (
        "".join(event.text for event in model.generate(given, max_tokens=8, temp=0))
        for given in (prompt, model.tokenize(prompt))
    )
    assert by_text == by_ids


@pytest.mark.real
def test_a_seed_repeats_its_text(model: Model) -> None:
    first, again, other = (
        "".join(event.text for event in model.generate("My name is", max_tokens=12, temp=1.5, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.real
def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(model: Model) -> None:
    *_, stop = events = list(model.generate("1, 2, 3, 4,", max_tokens=40, stop=[" 7"], temp=0))
    assert isinstance(stop, Stop)
    assert stop.reason == "stop"
    assert "".join(event.text for event in events) == " 5, 6,"


@pytest.mark.real
def test_a_question_is_answered_until_the_model_ends_its_turn(model: Model) -> None:
    *tokens, stop = model.chat(QUESTION, max_tokens=100, temp=0)
    answer = "".join(event.text for event in (*tokens, stop))
    assert isinstance(stop, Stop)
    assert stop.reason == "eos"
    assert "<|im_end|>" not in answer
    assert len(answer.split()) > 3


@pytest.mark.real
def test_a_second_turn_evaluates_only_what_is_new(model: Model) -> None:
    context = model.context(512)
    answer = "".join(event.text for event in model.chat(QUESTION, max_tokens=60, context=context, temp=0))
    kept = list(context.tokens)
    messages = [*QUESTION, {"role": "assistant", "content": answer}, {"role": "user", "content": "Thanks!"}]
    next(iter(model.chat(messages, max_tokens=1, context=context, temp=0)))
    assert context.tokens[: len(kept)] == kept
    assert len(context.tokens) > len(kept)


@pytest.mark.real
def test_a_prompt_longer_than_the_context_is_refused(model: Model) -> None:
    with pytest.raises(ContextFull):
        list(model.generate("word " * 100, context=model.context(32)))


@pytest.mark.real
@pytest.mark.parametrize("options", [{"temp": -1.0}, {"top_p": 2.0}], ids=str)
def test_options_that_make_no_sense_are_refused(model: Model, options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        list(model.generate("Hello", max_tokens=1, **options))


@pytest.mark.real
def test_the_model_tells_what_it_is(model: Model) -> None:
    assert model.n_ctx_train == 8192
    assert model.n_vocab == 49152
    assert model.chat_template is not None
    assert "<|im_start|>" in model.chat_template
    assert model.name


def test_a_file_that_is_not_there_is_an_error_of_the_package(tmp_path: Path) -> None:
    with pytest.raises(LlamaChatError, match=r"missing\.gguf"):
        Model(tmp_path / "missing.gguf")
