import json
import os
from pathlib import Path

import pytest
from tiny_gguf import LLAMA, tiny_bytes, tiny_gguf

from llamachat.catalog import FoundModel, discover

DIGEST = "ab" * 32


@pytest.fixture(autouse=True)
def own_places(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program looks in this test's home."""
    monkeypatch.setenv("LLAMACHAT_MODELS", str(own_home / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_home / ".cache"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)


def _by_name() -> dict[str, FoundModel]:
    found = discover()
    assert len({model.name for model in found}) == len(found)
    return {model.name: model for model in found}


def _ollama(
    store: Path, name: str, digest: str = DIGEST, media_type: str = "application/vnd.ollama.image.model"
) -> None:
    """A model in Ollama's store; `name` is registry/namespace/model/tag."""
    manifest = store / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [{"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "cd" * 32},
              {"mediaType": media_type, "digest": f"sha256:{digest}"}]  # fmt: skip
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    tiny_gguf(store / "blobs" / f"sha256-{DIGEST}")


def test_a_machine_without_models_has_none() -> None:
    assert discover() == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        pytest.param("ours/tiny.gguf", "llamachat", id="ours"),
        pytest.param("ours/folder/tiny.gguf", "llamachat", id="a folder in ours"),
        pytest.param(".cache/huggingface/hub/models--o--r/snapshots/abc/tiny.gguf", "huggingface", id="Hugging Face"),
        pytest.param(".cache/huggingface/hub/models--o--r/snapshots/a/Q4/tiny.gguf", "huggingface", id="its folders"),
        pytest.param(".lmstudio/models/owner/repo/tiny.gguf", "lmstudio", id="LM Studio"),
        pytest.param(".cache/lm-studio/models/owner/repo/tiny.gguf", "lmstudio", id="an older LM Studio"),
        pytest.param(".cache/llama.cpp/tiny.gguf", "llama.cpp", id="llama.cpp"),
    ],
)
def test_a_model_is_found_in_place(place: str, source: str, own_home: Path) -> None:
    path = tiny_gguf(own_home / place)
    assert discover() == [
        FoundModel("tiny", path, source, path.stat().st_size, "F32", "llama", 2048, fits=True, problem="")
    ]


@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [
        pytest.param("HF_HOME", "hf", "hf/hub/models--o--r/snapshots/abc/tiny.gguf", id="HF_HOME"),
        pytest.param("HF_HUB_CACHE", "hub", "hub/models--o--r/snapshots/abc/tiny.gguf", id="HF_HUB_CACHE"),
        pytest.param("LLAMA_CACHE", "cache", "cache/tiny.gguf", id="LLAMA_CACHE"),
    ],
)
def test_a_program_s_variable_says_where_it_keeps_models(
    variable: str, value: str, place: str, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(own_home / value))
    path = tiny_gguf(own_home / place)
    assert [model.path for model in discover()] == [path]


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        pytest.param("registry.ollama.ai/library/llama3.2/1b", "llama3.2:1b", id="library"),
        pytest.param("registry.ollama.ai/somebody/model/latest", "somebody/model:latest", id="somebody's"),
        pytest.param("hf.co/owner/repo/Q4_K_M", "hf.co/owner/repo:Q4_K_M", id="another registry"),
    ],
)
def test_ollama_s_models_have_ollama_s_names(manifest: str, name: str, own_home: Path) -> None:
    _ollama(own_home / ".ollama/models", manifest)
    (model,) = discover()
    assert (model.name, model.path.name, model.source) == (name, f"sha256-{DIGEST}", "ollama")


def test_ollama_s_variable_says_where_it_keeps_models(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(own_home / "store"))
    _ollama(own_home / "store", "registry.ollama.ai/library/a/b")
    assert list(_by_name()) == ["a:b"]


def test_a_manifest_cannot_point_outside_the_store(own_home: Path) -> None:
    _ollama(own_home / ".ollama/models", "registry.ollama.ai/library/a/b", digest="../../../ours/tiny.gguf")
    tiny_gguf(own_home / "tiny.gguf")
    assert discover() == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"layers": 3}', b'{"layers": [3, {}]}', b"[" * 100_000])
def test_what_is_no_manifest_is_passed_over(content: bytes, own_home: Path) -> None:
    _ollama(own_home / ".ollama/models", "registry.ollama.ai/library/a/b")
    (own_home / ".ollama/models/manifests/registry.ollama.ai/library/a/broken").write_bytes(content)
    assert list(_by_name()) == ["a:b"]


def test_a_blob_that_is_missing_is_said(own_home: Path) -> None:
    _ollama(own_home / ".ollama/models", "registry.ollama.ai/library/a/b", digest="ef" * 32)
    assert _by_name()["a:b"].problem == "the file cannot be read (No such file or directory)"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="not a GGUF"),
        pytest.param(tiny_bytes()[:150], id="a header that is cut off"),
    ],
)
def test_a_broken_file_is_listed_with_the_reason(content: bytes, own_home: Path) -> None:
    tiny_gguf(own_home / "ours/good.gguf")
    (own_home / "ours/bad.gguf").write_bytes(content)
    models = _by_name()
    assert models["bad"].problem
    assert str(own_home) not in models["bad"].problem
    assert models["bad"].n_bytes == len(content)
    assert not models["good"].problem


def test_a_link_that_leads_nowhere_is_said(own_home: Path) -> None:
    tiny_gguf(own_home / "ours/good.gguf")
    (own_home / "ours/link.gguf").symlink_to("nowhere.gguf")
    assert _by_name()["link"].problem == "the file cannot be read (No such file or directory)"


def test_the_same_file_is_listed_once_and_under_our_own_folder(own_home: Path) -> None:
    path = tiny_gguf(own_home / "ours/tiny.gguf")
    snapshots = own_home / ".cache/huggingface/hub/models--o--r/snapshots"
    (snapshots / "a").mkdir(parents=True)
    (snapshots / "a/symlink.gguf").symlink_to(path)
    os.link(path, snapshots / "a/hardlink.gguf")
    assert [(model.name, model.source) for model in discover()] == [("tiny", "llamachat")]


def test_a_split_model_with_a_missing_part_is_one_entry_with_the_reason(own_home: Path) -> None:
    for number in (1, 3):
        tiny_gguf(own_home / f"ours/big-0000{number}-of-00003.gguf")
    model = _by_name()["big"]
    assert model.problem == "1 of 3 files missing, first big-00002-of-00003.gguf"
    assert model.path.name == "big-00001-of-00003.gguf"
    assert model.n_bytes == 2 * model.path.stat().st_size


def test_a_split_model_whose_first_part_is_missing_is_one_entry(own_home: Path) -> None:
    for number in (2, 3):
        tiny_gguf(own_home / f"ours/big-0000{number}-of-00003.gguf")
    assert _by_name()["big"].problem == "1 of 3 files missing, first big-00001-of-00003.gguf"


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        pytest.param("mmproj-model-f16.gguf", LLAMA, id="an image projector by its name"),
        pytest.param("model-MMPROJ.gguf", LLAMA, id="in capitals"),
        pytest.param("vision.gguf", {"general.architecture": "clip"}, id="an image projector by its header"),
        pytest.param("lora.gguf", {**LLAMA, "general.type": "adapter"}, id="an adapter"),
        pytest.param(".x.gguf", LLAMA, id="a hidden file"),
        pytest.param("model.gguf.part", LLAMA, id="a partial download"),
    ],
)
def test_what_is_no_model_is_not_listed(name: str, metadata: dict[str, object], own_home: Path) -> None:
    tiny_gguf(own_home / "ours" / name, metadata)
    assert discover() == []


def test_models_that_do_not_fit_in_memory_say_so(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_MEMORY", "1000")
    tiny_gguf(own_home / "ours/tiny.gguf")
    assert _by_name()["tiny"].fits is False


@pytest.mark.parametrize(
    ("file_type", "name"),
    [
        pytest.param({"general.file_type": 15}, "Q4_K_M", id="the file's own word"),
        pytest.param({"general.file_type": 15 + 1024}, "Q4_K_M", id="that was guessed"),
        pytest.param({"general.file_type": 999}, "F32", id="an unknown word: what most bytes are"),
        pytest.param({}, "F32", id="none: what most bytes are"),
    ],
)
def test_the_type_is_what_people_call_it(file_type: dict[str, object], name: str, own_home: Path) -> None:
    tiny_gguf(own_home / "ours/tiny.gguf", LLAMA | file_type)
    assert _by_name()["tiny"].type == name


def test_a_folder_that_may_not_be_read_is_passed_over(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_home / "file").touch()
    for name in ("OLLAMA_MODELS", "HF_HUB_CACHE", "LLAMA_CACHE", "LLAMACHAT_MODELS"):
        monkeypatch.setenv(name, str(own_home / "file"))
    assert discover() == []


def test_a_user_without_a_home_has_no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    for name in ("LLAMACHAT_MODELS", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    assert discover() == []


def test_the_real_model_s_header_is_summed_up(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_MODELS", str(smollm2.parent))
    model = _by_name()["SmolLM2-135M-Instruct.Q4_1"]
    assert (model.type, model.architecture, model.n_ctx, model.n_bytes) == ("Q4_1", "llama", 8192, 98_362_432)


@pytest.mark.parametrize("kind", [["model"], [1, 2], [["a"], ["b"]]], ids=["texts", "numbers", "arrays"])
def test_a_type_that_is_an_array_hides_no_model(kind: object, own_home: Path) -> None:
    tiny_gguf(own_home / "ours/good.gguf")
    tiny_gguf(own_home / "ours/odd.gguf", {**LLAMA, "general.type": kind})
    assert "good" in _by_name()


def test_a_context_length_that_is_a_boolean_is_none(own_home: Path) -> None:
    tiny_gguf(own_home / "ours/odd.gguf", {**LLAMA, "llama.context_length": True})
    assert _by_name()["odd"].n_ctx is None


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE", "OLLAMA_MODELS"])
def test_nobody_s_home_in_a_variable_hides_no_model(
    variable: str, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "~no-such-user/models")
    tiny_gguf(own_home / "ours/good.gguf")
    assert list(_by_name()) == ["good"]
