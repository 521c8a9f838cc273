"""Every key that the program reads, with a value of every other type: refused by the key's name, or without effect."""

import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from gguf_bytes import ARRAY, BOOL, F32, F64, I32, I64, STRING, U8, U64, array, nested, scalar, text
from seeds import SEEDS

from llamachat.engine.gguf import open_gguf, parse
from llamachat.engine.header import chat_template_of
from llamachat.engine.models import describe
from llamachat.engine.models.families.gemma3 import Gemma3Params
from llamachat.engine.models.families.llama import LlamaParams
from llamachat.engine.models.params import keys_read
from llamachat.engine.sampling.file_defaults import KEYS, with_file_defaults
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import ModelFileError

PATH = Path("wrong.gguf")

VALUES = {
    "text": scalar(STRING, "llama"),
    "empty text": scalar(STRING, ""),
    "true": scalar(BOOL, 1),
    "byte": scalar(U8, 3),
    "negative": scalar(I32, -1),
    "largest": scalar(U64, 2**64 - 1),
    "least": scalar(I64, -(2**63)),
    "fraction": scalar(F32, 0.5),
    "nan": scalar(F64, float("nan")),
    "infinite": scalar(F64, float("inf")),
    "no numbers": array(I32, []),
    "one number": array(I32, [1]),
    "two numbers": array(I32, [1, 2]),
    "fractions": array(F32, [0.5, float("nan")]),
    "truths": array(BOOL, [1, 0]),
    "no texts": array(STRING, []),
    "texts": array(STRING, ["a", "b"]),
    "nested": nested(2, array(I32, [1, 2])),
    "no arrays": struct.pack("<IIQ", ARRAY, ARRAY, 0),
}

TOKENIZER = (
    *("model", "pre", "tokens", "token_type", "scores", "merges", "add_bos_token", "add_eos_token", "add_space_prefix"),
    *(f"{name}_token_id" for name in ("bos", "eos", "eot", "eom", "unknown", "cls", "seperator")),
    *(f"{name}_token_id" for name in ("fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep")),
)


def keys() -> Iterator[str]:
    """All that are read before or while a model answers, in the two architectures that seeds stand for."""
    yield from ("general.architecture", "general.alignment", "general.name", "general.type", "tokenizer.chat_template")
    yield from (f"general.sampling.{name}" for name in KEYS)
    yield from (f"tokenizer.ggml.{name}" for name in TOKENIZER)
    yield from (f"llama.{name}" for name in sorted(keys_read(LlamaParams) | keys_read(Gemma3Params)))


def with_value(content: bytes, key: str, value: bytes) -> bytes:
    """The file, whose key has that value: the old pair keeps its place under another name."""
    file = parse(content, PATH)
    at = content.find(text(key))
    if at >= 0 and key in file.metadata:
        content = content[: at + 8] + b"#" * len(key) + content[at + 8 + len(key) :]
    n_tensors, n_pairs = struct.unpack_from("<QQ", content, 8)
    head = content[:8] + struct.pack("<QQ", n_tensors, n_pairs + 1) + text(key) + value
    end = min(content.find(text(name)) for name in file.tensors)
    for name in file.tensors:  # behind the last tensor's description the data begin
        end = max(end, content.find(text(name)) + 8 + len(name))
    n_dims = struct.unpack_from("<I", content, end)[0]
    end += 4 + 8 * n_dims + 4 + 8
    start = -(-end // 32) * 32
    head += content[24:end]
    return head + bytes(-len(head) % 32) + content[start:]


def use(content: bytes) -> None:
    """Whatever reads metadata."""
    file = parse(content, PATH)
    describe(file.metadata, file.tensors, PATH).graph()
    tokenizer = Tokenizer.from_metadata(file.metadata)
    tokenizer.decode(tokenizer.encode("hello, hell", parse_special=True), special=True)
    chat_template_of(SimpleNamespace(metadata=file.metadata))  # type: ignore[arg-type]
    with_file_defaults(SamplingOptions(), file.metadata)


@pytest.mark.parametrize("source", SEEDS)
def test_a_value_put_in_reads_as_such(source: str) -> None:
    content = with_value(SEEDS[source](), "general.name", scalar(STRING, "new"))
    assert parse(content, PATH).metadata["general.name"] == "new"
    use(content)


NEVER = ("nested", "no arrays", "no numbers", "nan")
"""What no key may be."""


@pytest.mark.parametrize("key", list(keys()))
def test_a_value_of_another_type_is_refused_by_its_key(key: str) -> None:
    said = set()
    for number, (name, value) in enumerate(VALUES.items()):
        seeds = list(SEEDS.values())
        chosen = seeds if name in NEVER else [seeds[number % len(seeds)]]
        said |= {(name, refusal(source(), key, value)) for source in chosen}
    assert not [one for one in said if not one[1].isprintable() or len(one[1]) > 300]
    assert not [one for one in said if one[0] in NEVER and one[1] and key not in one[1]]
    assert len({name for name, sentence in said if sentence and name in NEVER}) >= len(NEVER) - 1


def refusal(content: bytes, key: str, value: bytes) -> str:
    """What is said of the file with that value; "" for nothing."""
    try:
        use(with_value(content, key, value))
    except ModelFileError as error:
        return str(error)
    return ""


def test_a_number_of_parts_of_another_type_is_refused_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "one.gguf"
    for name in NEVER:
        path.write_bytes(with_value(SEEDS["byte pairs"](), "split.count", VALUES[name]))
        with pytest.raises(ModelFileError, match=r"split\.count: is .*, not a number"):
            open_gguf(path)


@pytest.mark.parametrize("source", SEEDS)
@pytest.mark.parametrize("value", ["no numbers", "one number", "two numbers", "true", "fraction", "text", "nested"])
@pytest.mark.parametrize("key", [key for key in keys() if key.endswith("_token_id")])
def test_a_token_id_is_one_whole_number(key: str, value: str, source: str) -> None:
    content = with_value(SEEDS[source](), key, VALUES[value])
    with pytest.raises(ModelFileError, match=f"{key}: is .*, must be a token id"):
        use(content)


def test_a_model_s_name_is_a_text(golden: Path, tmp_path: Path) -> None:
    from llamachat import Model

    path = tmp_path / "named.gguf"
    content = (golden / "archs" / "llama.gguf").read_bytes()
    for value in ("two numbers", "no numbers", "byte"):
        path.write_bytes(with_value(content, "general.name", VALUES[value]))
        with (
            Model(path, threads=1) as model,
            pytest.raises(ModelFileError, match=r"general\.name: is .*, must be a text"),
        ):
            _ = model.name
