"""Models that are not here: listed, fetched after a yes, and removed again."""

from types import SimpleNamespace

import huggingface_hub
import pytest
from tiny_gguf import tiny_gguf

from llamachat import Model
from llamachat.catalog.resolve import resolve
from llamachat.cli import fetching
from llamachat.cli.app import run_app
from llamachat.cli.fetching import fetched
from llamachat.errors import LlamaChatError, ModelFileError, UsageError

FILES = {"x-Q8_0.gguf": 800_000, "x-Q4_K_M.gguf": 450_000, "README.md": 5}


@pytest.fixture
def hub(own_home, tmp_path, monkeypatch):
    """A repository a/b; the files that were downloaded, in the cache of Hugging Face."""
    cache = tmp_path / "hub"
    asked = []
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("LLAMACHAT_MODELS", str(tmp_path / "ours"))

    def download(repo, file, **_):
        asked.append(file)
        folder = cache / f"models--{repo.replace('/', '--')}"
        (folder / "blobs").mkdir(parents=True, exist_ok=True)
        (folder / "snapshots/1").mkdir(parents=True, exist_ok=True)
        blob = tiny_gguf(folder / "blobs" / f"{file}.gguf")
        (folder / "snapshots/1" / file).symlink_to(blob)
        return str(folder / "snapshots/1" / file)

    class Api:
        def list_repo_tree(self, repo, recursive):
            return [SimpleNamespace(path=path, size=size) for path, size in FILES.items()]

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: None)
    return SimpleNamespace(asked=asked, cache=cache)


def test_nobody_is_asked_without_a_terminal(hub, capsys):
    with pytest.raises(UsageError, match=r"llamachat pull hf:a/b`, or give --yes"):
        fetched("hf:a/b", yes=False)
    assert hub.asked == []


def test_with_a_yes_the_usual_type_is_fetched_and_what_there_is_is_listed(hub, capsys):
    path = fetched("hf:a/b", yes=True)
    assert (hub.asked, path.name) == (["x-Q4_K_M.gguf"], "x-Q4_K_M.gguf")
    said = capsys.readouterr().err
    assert "hf:a/b/x-Q8_0.gguf" in said
    assert "450 kB" in said
    for name in ("hf:a/b", "hf:a/b:Q4_K_M", "hf:a/b/x-Q4_K_M.gguf", "x-Q4_K_M"):
        assert resolve(name) == path
    with pytest.raises(UsageError, match="not here yet"):
        resolve("hf:a/b:Q8_0")


@pytest.mark.parametrize(("answer", "asked"), [(True, ["x-Q4_K_M.gguf"]), (False, [])])
def test_a_person_is_asked(hub, monkeypatch, answer, asked):
    questions = []
    monkeypatch.setattr(fetching, "may_ask", lambda: True)
    monkeypatch.setattr(fetching, "agreed", lambda question: questions.append(question) or answer)
    if answer:
        fetched("hf:a/b", yes=False)
    else:
        with pytest.raises(UsageError, match="was not fetched"):
            fetched("hf:a/b", yes=False)
    assert (hub.asked, questions) == (asked, ["Fetch hf:a/b/x-Q4_K_M.gguf (450 kB)?"])


def test_pull_takes_what_leaves_no_choice_at_once(hub, capsys):
    run_app(["pull", "hf:a/b:q8_0"])
    assert hub.asked == ["x-Q8_0.gguf"]
    with pytest.raises(UsageError, match="leaves a choice"):
        run_app(["pull", "hf:a/b"])
    run_app(["pull", "--yes", "hf:a/b"])
    assert hub.asked == ["x-Q8_0.gguf", "x-Q4_K_M.gguf"]


def test_what_was_fetched_can_be_removed(hub, capsys):
    fetched("hf:a/b", yes=True)
    with pytest.raises(UsageError, match="--yes"):
        run_app(["models", "rm", "x-Q4_K_M"])
    run_app(["models", "rm", "x-Q4_K_M", "--yes"])
    assert [path for path in hub.cache.rglob("*") if not path.is_dir()] == []
    with pytest.raises(UsageError, match="no model here"):
        run_app(["models", "rm", "x-Q4_K_M", "--yes"])


def test_a_model_of_another_program_is_not_removed(own_home, tmp_path, monkeypatch):
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "theirs"))
    path = tiny_gguf(tmp_path / "theirs/tiny.gguf")
    with pytest.raises(UsageError, match=r"belongs to llama\.cpp"):
        run_app(["models", "rm", "tiny", "--yes"])
    assert path.exists()


def test_models_tells_the_default_and_short_names(own_home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LLAMACHAT_MODELS", str(tmp_path))
    tiny_gguf(tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf")
    tiny_gguf(tmp_path / "tiny.gguf")
    run_app(["models"])
    assert "smollm2, default" in capsys.readouterr().out
    monkeypatch.setenv("LLAMACHAT_MODEL", "tiny")
    run_app(["models"])
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "default" in rows["tiny"]
    assert "default" not in rows["SmolLM2-135M-Instruct.Q4_1"]


def test_the_library_knows_names_and_downloads_nothing(hub, tmp_path):
    tiny_gguf(tmp_path / "ours/tiny.gguf")
    with pytest.raises(ModelFileError, match=r"ours/tiny\.gguf: llama\."):  # found, and then read
        Model("tiny")
    for name in ("gemma3", "hf:a/b", "nosuch", str(tmp_path / "no.gguf")):
        with pytest.raises(LlamaChatError):
            Model(name)
    assert hub.asked == []


def test_offline_nothing_is_fetched(llamachat, own_home, tmp_path):
    for words in (("pull", "smollm2"), ("pull", "hf:a/b"), ("bench",)):
        done = llamachat("--offline", *words, LLAMACHAT_MODELS=str(tmp_path))
        assert (done.returncode, b"nothing may be fetched (--offline)" in done.stderr) == (2, True), words
