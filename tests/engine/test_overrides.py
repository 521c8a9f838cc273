"""Metadata set in place of a file's: equal to a file that says so, and what is refused."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.model import Model
from llamachat.engine.overrides import Override, Overrides, Positions
from llamachat.errors import LlamaChatError, ModelFileError, Unsupported, UsageError


def without(source: Path, path: Path, *parts: str, **said: object) -> Path:
    """A copy of a file without the metadata keys that have one of these parts, and with others."""
    file = open_gguf(source)
    kept = {key: value for key, value in file.metadata.items() if not any(part in key for part in parts)}
    tensors = [(name, one.type.name, one.shape, one.rows) for name, one in file.tensors.items()]
    write_gguf(path, kept | said, tensors)
    return path


def logits(path: Path, overrides: Overrides | Mapping[str, object] | list[str] | None = None) -> np.ndarray:
    tokens = np.load(path.with_suffix(".npz"))["tokens"].tolist() if path.with_suffix(".npz").exists() else [*range(64)]
    with Model(path, 1, cache_type="f32", overrides=overrides or ()) as model:  # type: ignore[arg-type]
        return model.context(64).eval(tokens, "all")


@pytest.mark.parametrize("name", ["llama-linear", "llama-yarn"])
def test_positions_are_those_of_a_file_that_says_so(golden: Path, tmp_path: Path, name: str) -> None:
    source = golden / "archs" / f"{name}.gguf"
    metadata = open_gguf(source).metadata
    scale, original = (metadata.get(f"llama.rope.scaling.{key}") for key in ("factor", "original_context_length"))
    positions = Positions("yarn" if name == "llama-yarn" else "linear", rope_scale=float(str(scale)))
    if original is not None:
        positions = Positions("yarn", rope_freq_scale=1 / float(str(scale)), yarn_orig_ctx=int(str(original)))
    bare = without(source, tmp_path / "bare.gguf", ".rope.scaling", ".rope.freq")
    base = metadata.get("llama.rope.freq_base")
    given = Overrides((Override("llama.rope.freq_base", float(str(base))),) if base is not None else (), positions)
    tokens = np.load(source.with_suffix(".npz"))
    with Model(bare, 1, cache_type="f32", overrides=given) as model:
        found = model.context(64).eval(tokens["tokens"].tolist(), "all")
    assert (found == logits(source)).all()
    assert nmse(found, tokens["logits"]) <= 1e-8


def test_none_turns_a_files_scaling_off(golden: Path, tmp_path: Path) -> None:
    source = golden / "archs" / "llama-linear.gguf"
    bare = without(source, tmp_path / "bare.gguf", ".rope.scaling")
    with Model(source, 1, cache_type="f32", overrides=Overrides(positions=Positions("none"))) as model:
        found = model.context(64).eval([*range(64)], "all")
    assert (found == logits(bare)).all()


def test_yarn_by_its_share_is_between_linear_and_whole(golden: Path) -> None:
    source, found = golden / "archs" / "llama.gguf", []
    for share in (0.0, 0.5, 1.0):
        positions = Positions("yarn", rope_scale=4.0, yarn_orig_ctx=32, yarn_ext_factor=share)
        with Model(source, 1, cache_type="f32", overrides=Overrides(positions=positions)) as model:
            found.append(model.context(64).eval([*range(64)], "all"))
    linear = Overrides(positions=Positions("linear", rope_scale=4.0))
    with Model(source, 1, cache_type="f32", overrides=linear) as model:
        assert (model.context(64).eval([*range(64)], "all") == found[0]).all()
    assert 0 < nmse(found[1], found[2]) < nmse(found[0], found[2])


def test_any_key_that_is_read_can_be_set(golden: Path, tmp_path: Path) -> None:
    source = golden / "archs" / "llama.gguf"
    said = {"llama.attention.layer_norm_rms_epsilon": 0.01}
    changed = without(source, tmp_path / "changed.gguf", "rms_epsilon", **said)
    wanted = logits(changed)
    for overrides in (said, ["llama.attention.layer_norm_rms_epsilon=float:0.01"]):
        with Model(source, 1, cache_type="f32", overrides=overrides) as model:
            assert (model.context(64).eval([*range(64)], "all") == wanted).all()
            assert str(model.overrides) == "llama.attention.layer_norm_rms_epsilon=float:0.01"
    assert not (wanted == logits(source)[:64]).all()


def test_other_overrides_have_another_text() -> None:
    base = "llama.rope.freq_base=float:5000.0"
    assert str(Overrides.of([f"general.name=str:a {base}"])) != str(Overrides.of(["general.name=str:a", base]))


def test_the_tokenizer_follows(smollm2: Path) -> None:
    with Model(smollm2, 1, overrides=["tokenizer.ggml.add_bos_token=bool:true"]) as model:
        ids = model.tokenize("Hello")
        assert ids[0] == model.tokenizer.bos
    with Model(smollm2, 1) as model:
        assert model.tokenize("Hello") == ids[1:]


WRONG = {
    "llama.rope.freq_base": "is KEY=TYPE:VALUE",
    "llama.rope.freq_base=500000": "is KEY=TYPE:VALUE",
    "llama.rope.freq_base=double:1": "is KEY=TYPE:VALUE",
    "=int:1": "is KEY=TYPE:VALUE",
    "llama.block_count=int:two": "'two' must be a whole number",
    "llama.block_count=int:99999999999999999999": "at most 64 bits",
    "llama.rope.freq_base=float:high": "'high' must be a number",
    "llama.rope.freq_base=float:inf": "'inf' must be a finite number",
    "tokenizer.ggml.add_bos_token=bool:yes": "'yes' must be true or false",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_text_that_is_no_override_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=WRONG[text]):
        Override.parse(text)


MEANINGLESS = {
    "llama.ssm.state_size=int:4": (UsageError, "means nothing for llama: this architecture reads no such key"),
    "llama.pooling_type=int:1": (UsageError, "changes nothing for llama: is about sentence embeddings"),
    "gemma3.rope.freq_base=float:1e4": (UsageError, r"means nothing for this model, whose keys begin with llama\."),
    "split.count=int:2": (UsageError, "says where the file's tensors are"),
    "general.file_type=int:2": (UsageError, "means nothing for this model"),
    "tokenizer.ggml.model=int:2": (UsageError, "is no_vocab in the file, and 2 is of another type"),
    "llama.block_count=int:-1": (ModelFileError, "llama.block_count: is -1, must be a whole number"),
    "llama.block_count=int:3": (ModelFileError, "this tensor is missing"),
    "llama.block_count=str:two": (ModelFileError, "llama.block_count: is 'two', must be"),
    "llama.attention.head_count=int:2147483647": (ModelFileError, "n_head 2147483647 equal parts"),
    "llama.rope.scaling.type=str:su": (Unsupported, "su.*which is not supported"),
}


@pytest.mark.parametrize("text", MEANINGLESS)
def test_what_means_nothing_is_refused_by_name(golden: Path, text: str) -> None:
    kind, sentence = MEANINGLESS[text]
    with pytest.raises(kind, match=sentence) as caught:
        Model(golden / "archs" / "llama.gguf", overrides=[text])
    assert text.partition("=")[0].split(".")[-1] in str(caught.value) or kind is ModelFileError


def test_settings_of_positions_that_a_model_does_not_read_say_which(golden: Path) -> None:
    with pytest.raises(LlamaChatError) as caught:
        Model(golden / "archs" / "gemma3.gguf", overrides=Overrides(positions=Positions(yarn_beta_fast=3.0)))
    assert caught.value.settings == ("yarn_beta_fast",)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_of_frequencies_without_an_inverse_is_refused(scale: float) -> None:
    with pytest.raises(UsageError, match="must be above 0"):
        Positions(rope_freq_scale=scale).overrides({"general.architecture": "llama"})
