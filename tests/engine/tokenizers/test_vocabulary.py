"""Which tokens end a generation, by their keys and by their texts."""

from typing import Any

import numpy as np
import pytest

from llamachat.engine.tokenizers.vocabulary import Defaults, Keys, Kind, Vocabulary, read_vocabulary


def vocabulary(*texts: str, **keys: Any) -> Vocabulary:
    """A vocabulary of these texts, all of type normal."""
    values = {"tokens": list(texts), "token_type": np.ones(len(texts), np.int32), **keys}
    return read_vocabulary(Keys({f"tokenizer.ggml.{key}": value for key, value in values.items()}), Defaults())


ENDS = [
    pytest.param(("a", "<|im_end|>", "<|endoftext|>"), {"eos_token_id": 1}, {1, 2}, id="by text"),
    pytest.param(("a", "b", "c"), {"eos_token_id": 0, "eot_token_id": 1, "eom_token_id": 2}, {0, 1, 2}, id="by key"),
    pytest.param(("a", "b", "c"), {"fim_pad_token_id": 1, "fim_sep_token_id": 2}, {1, 2}, id="fill-in by key"),
    pytest.param(("a", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"), {}, {1, 2, 3}, id="fill-in by text"),
    pytest.param(("<|end|>", "<|return|>", "<|call|>"), {}, {1, 2}, id="harmony"),
    pytest.param(("<|end|>", "<|flush|>", "<|calls|>"), {}, {1, 2}, id="solar"),
    pytest.param(("<|end|>", "a"), {}, {0}, id="phi"),
    pytest.param(("</s>", "<|tool_response>", "<turn|>"), {}, {1, 2}, id="gemma 4"),
]


@pytest.mark.parametrize(("texts", "keys", "expected"), ENDS)
def test_these_tokens_end_a_generation(texts: tuple[str, ...], keys: dict[str, Any], expected: set[int]) -> None:
    assert vocabulary(*texts, **keys).eog == expected


def test_texts_of_known_roles_are_control_tokens_whatever_the_file_says() -> None:
    kinds = vocabulary("a", "<|im_end|>", "<|fim_prefix|>", "<|channel|>").kinds.tolist()
    assert kinds == [Kind.NORMAL, Kind.CONTROL, Kind.CONTROL, Kind.USER_DEFINED]


def test_what_ends_nothing_in_this_vocabulary_is_no_control_token() -> None:
    assert vocabulary("<|end|>", "<|return|>", "<|call|>").kinds[0] == Kind.USER_DEFINED
    assert vocabulary("</s>", "<|tool_response>").kinds[0] == Kind.NORMAL


def test_a_beginning_without_a_token_is_not_added() -> None:
    assert not vocabulary("a", add_bos_token=True).add_bos
