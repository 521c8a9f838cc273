"""--lora, --control-vector, --override-kv, --rope-*: what reaches the engine, and what is refused."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse

from llamachat.cli.adapters import AdapterChoice, MetadataChoice, joined
from llamachat.cli.app import make_program, run_app
from llamachat.cli.options import ModelChoice
from llamachat.engine.adapters import Adapters
from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.overrides import Override, Positions
from llamachat.errors import ModelFileError, UsageError
from llamachat.library import Model
from llamachat.session.prompt_cache import UnusableCache

PROGRAM = make_program()


@pytest.fixture(autouse=True)
def nothing_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))


@pytest.mark.parametrize(
    ("words", "one"),
    [
        (["--lora-scaled", "a.gguf", "-0.5", "hi"], ["--lora-scaled=a.gguf:-0.5", "hi"]),
        (["--lora_scaled", "a.gguf", "1e-1"], ["--lora-scaled=a.gguf:1e-1"]),
        (["--lora-scaled", "a.gguf:2", "hi"], ["--lora-scaled", "a.gguf:2", "hi"]),
        (["--lora-scaled", "a.gguf", "abc", "hi"], ["--lora-scaled=a.gguf:abc", "hi"]),
        (["--control-vector-layer-range", "3", "x"], ["--control-vector-layer-range=3:x"]),
        (["--control-vector-layer-range", "3:4", "x"], ["--control-vector-layer-range", "3:4", "x"]),
        (["--lora-scaled", "a.gguf", "-x"], ["--lora-scaled", "a.gguf", "-x"]),
        (["--control-vector-scaled", "v", ".5"], ["--control-vector-scaled=v:.5"]),
        (["--control-vector-layer-range", "1", "8"], ["--control-vector-layer-range=1:8"]),
        (["-p", "--lora-scaled", "a", "1"], ["-p", "--lora-scaled", "a", "1"]),
        (["--", "--lora-scaled", "a", "1"], ["--", "--lora-scaled", "a", "1"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "interactive", "bench"])
def test_options_of_two_words(command: str, words: list[str], one: list[str]) -> None:
    if words[0] == "-p" and command == "bench":
        pytest.skip("-p is a number there")
    assert joined(words, PROGRAM.commands[command]) == one


def test_adapters_are_collected(tmp_path: Path) -> None:
    found = AdapterChoice([Path("a")], ["b:0.5", "c:d:-1"], [Path("v")], ["w:2"], "1:3").adapters
    assert found == Adapters.of(["a", ("b", 0.5), ("c:d", -1.0)], ["v", ("w", 2.0)], (1, 3))
    assert AdapterChoice().adapters == Adapters()


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:x", "a:1e999", "a:nan"])
def test_a_scale_must_be_a_number(text: str) -> None:
    with pytest.raises(UsageError, match="give a file and a number"):
        _ = AdapterChoice(lora_scaled=[text]).adapters


@pytest.mark.parametrize("text", ["1", "1:", "a:b", "-1:2", "1:99999999999"])
def test_a_range_must_be_two_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="give the first and the last layer"):
        _ = AdapterChoice(control_vector_layer_range=text).adapters


def test_metadata_are_collected() -> None:
    found = MetadataChoice(["a.b=int:3"], "yarn", rope_freq_base=5e5, yarn_orig_ctx=64).overrides
    assert found.values == (Override("a.b", 3),)
    assert found.positions == Positions("yarn", rope_freq_base=5e5, yarn_orig_ctx=64)
    with pytest.raises(UsageError, match="unknown scaling 'su'"):
        _ = MetadataChoice(rope_scaling="su").overrides


def test_another_model_in_a_chat_has_none_of_them() -> None:
    choice = ModelChoice("a", ctx_size=5, lora=[Path("x")], override_kv=["a=int:1"], rope_scale=2.0)
    assert choice.alone("b") == ModelChoice("b", ctx_size=5)


@pytest.fixture(scope="module")
def adapter(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of rank 2 for some matrices of SmolLM2."""
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("adapters") / "small adapter.gguf"
    tensors = []
    for name, tensor in open_gguf(smollm2).tensors.items():
        if "attn_q" in name or "ffn_down" in name:
            for kind, shape in ((".lora_a", (2, tensor.shape[1])), (".lora_b", (tensor.shape[0], 2))):
                values = (rng.standard_normal(shape) * 0.05).astype(np.float16)
                tensors.append((name + kind, "F16", shape, values.view(np.uint8).ravel()))
    metadata = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    write_gguf(path, {**metadata, "adapter.lora.alpha": 4.0}, tensors)
    return path


def completed(capsys: pytest.CaptureFixture[str], model: Path, *words: str) -> str:
    assert run_app(["run", "-m", str(model), "-n", "12", "--temp", "0", "-t", "2", *words, "Once upon a time"]) == 0
    return capsys.readouterr().out


def test_run_with_an_adapter(capsys: pytest.CaptureFixture[str], smollm2: Path, adapter: Path) -> None:
    plain, changed = completed(capsys, smollm2), completed(capsys, smollm2, "--lora", str(adapter))
    assert plain != changed
    assert completed(capsys, smollm2, "--lora-scaled", str(adapter), "0") == plain
    assert completed(capsys, smollm2, "--lora-scaled", str(adapter), "1") == changed


def test_an_adapter_of_another_model_is_refused(smollm2: Path, golden: Path) -> None:
    with pytest.raises(ModelFileError, match=r"llama-a\.gguf: output\.weight: the model has no such tensor"):
        run_app(["run", "-m", str(smollm2), "--lora", str(golden / "adapters" / "llama-a.gguf"), "x"])


def test_a_prompt_cache_of_another_adapter_is_not_used(
    capsys: pytest.CaptureFixture[str], smollm2: Path, adapter: Path, tmp_path: Path
) -> None:
    """Nor one of other metadata; the same ones are used."""
    cache = ["--prompt-cache", str(tmp_path / "kept"), "--verbose"]
    scaled = ["--lora-scaled", str(adapter), "0.5"]
    base = ["--rope-freq-base", "20000"]
    made = completed(capsys, smollm2, *cache, *scaled)
    for words in ([], ["--lora", str(adapter)], base):
        with pytest.raises(UnusableCache, match="is of another adapter"):
            completed(capsys, smollm2, *cache, *words)
    with pytest.raises(UnusableCache, match="is of another override"):
        completed(capsys, smollm2, *cache, *scaled, *base)
    assert completed(capsys, smollm2, *cache, *scaled) == made


def test_metadata_reach_tokenizer_and_dry_run(capsys: pytest.CaptureFixture[str], smollm2: Path) -> None:
    words = ["run", "-m", str(smollm2), "--dry-run", "--output", "json", "Hello"]
    counts = []
    for more in ([], ["--override-kv", "tokenizer.ggml.add_bos_token=bool:true"]):
        run_app([*words, *more])
        counts.append(json.loads(capsys.readouterr().out)["n_tokens"])
    assert counts[1] == counts[0] + 1


def test_the_library_takes_them_by_name(smollm2: Path, adapter: Path) -> None:
    found = []
    for lora in ([], [adapter], [(adapter, 1.0)], [(adapter, 0.5), (adapter, 0.5)]):
        with Model(smollm2, 2, lora=lora, n_ctx=64) as model:
            found.append(model.context(64).eval([1, 2, 3]))
    assert (found[1] == found[2]).all()
    assert nmse(found[3], found[1]) < 1e-6 < nmse(found[0], found[1])


def test_the_library_says_how_files_are_given(golden: Path) -> None:
    with pytest.raises(UsageError, match=r"lora=\[\.\.\.\]"):
        Model(golden / "archs" / "llama.gguf", 1, adapters=[golden / "adapters" / "llama-a.gguf"])
    with pytest.raises(TypeError, match="n_context"):
        Model(golden / "archs" / "llama.gguf", 1, n_context=4)


def test_settings_files_have_them(
    capsys: pytest.CaptureFixture[str], own_home: Path, smollm2: Path, adapter: Path
) -> None:
    folder = own_home / "config" / "llamachat"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f'lora = "{adapter}"\n', "utf-8")
    with_file = completed(capsys, smollm2)
    (folder / "config.toml").write_text(f'lora_scaled = ["{adapter}:1"]\n', "utf-8")
    assert completed(capsys, smollm2) == with_file
    (folder / "config.toml").unlink()
    assert completed(capsys, smollm2) != with_file
