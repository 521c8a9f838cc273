"""What an address of the Hugging Face Hub means, and which of a repository's files is taken."""

import pytest

from llamachat.catalog.references import HubModel, Reference, chosen, is_certain, models_of, parse_reference, quant_of
from llamachat.errors import UsageError

FILES = {
    "README.md": 10,
    "mmproj-x-f16.gguf": 9,
    "x.imatrix.gguf": 9,
    "x-Q8_0.gguf": 800,
    "x-Q5_K_M.gguf": 500,
    "x-IQ2_XXS.gguf": 200,
    "BF16/x-BF16-00001-of-00002.gguf": 1000,
    "BF16/x-BF16-00002-of-00002.gguf": 900,
}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hf:a/b", Reference("a/b")),
        ("hf:a/b:q4_k_m", Reference("a/b", quant="q4_k_m")),
        ("hf:a/b.c-GGUF:UD-Q4_K_XL", Reference("a/b.c-GGUF", quant="UD-Q4_K_XL")),
        ("hf:a/b/c/x.gguf", Reference("a/b", "c/x.gguf")),
    ],
)
def test_an_address_is_read(text, meant):
    assert parse_reference(text) == meant
    assert str(meant) == text


@pytest.mark.parametrize(
    ("path", "quant"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("m.q8_0.gguf", "Q8_0"),
        ("m-IQ3_XXS.gguf", "IQ3_XXS"),
        ("m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("Q6_K/m-00001-of-00002.gguf", "Q6_K"),
        ("m-fp16.gguf", "F16"),
        ("qwen2-7b.gguf", ""),
        ("m-MXFP4.gguf", "MXFP4"),
    ],
)
def test_the_block_type_is_in_the_name(path, quant):
    assert quant_of(path) == quant


def test_parts_of_a_split_model_are_one_and_what_is_no_model_is_none():
    found = models_of(FILES)
    assert found == [
        HubModel("x-IQ2_XXS.gguf", 200),
        HubModel("x-Q5_K_M.gguf", 500),
        HubModel("x-Q8_0.gguf", 800),
        HubModel("BF16/x-BF16-00001-of-00002.gguf", 1900),
    ]


@pytest.mark.parametrize(
    ("quant", "path"),
    [("", "x-Q5_K_M.gguf"), ("q8_0", "x-Q8_0.gguf"), ("bf16", "BF16/x-BF16-00001-of-00002.gguf")],
)
def test_one_is_chosen(quant, path):
    assert chosen(Reference("a/b", quant=quant), models_of(FILES)).path == path


def test_q4_k_m_is_taken_where_it_is_there():
    assert chosen(Reference("a/b"), models_of({**FILES, "x-Q4_K_M.gguf": 450, "x-Q4_0.gguf": 440})).quant == "Q4_K_M"


def test_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(UsageError, match=r"no Q2_K in a/b; there is IQ2_XXS, Q5_K_M, Q8_0, BF16"):
        chosen(Reference("a/b", quant="Q2_K"), models_of(FILES))
    with pytest.raises(UsageError, match="no GGUF file in a/b"):
        chosen(Reference("a/b"), [])


def test_it_is_certain_where_there_is_no_choice():
    models = models_of(FILES)
    assert not is_certain(Reference("a/b"), models)
    assert is_certain(Reference("a/b"), models[:1])
    assert is_certain(Reference("a/b", quant="Q8_0"), models)
