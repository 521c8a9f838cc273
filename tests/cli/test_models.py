import json
from pathlib import Path

import pytest
from tiny_gguf import tiny_gguf

from llamachat.cli.app import run_app


@pytest.fixture
def ours(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAMACHAT_MODELS", str(own_home / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_home / ".cache"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return own_home / "ours"


def test_every_model_is_one_line(ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_gguf(ours / "beta.gguf")
    tiny_gguf(ours / "alpha.gguf")
    run_app(["models"])
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["NAME", "SIZE", "TYPE", "CONTEXT", "FITS", "SOURCE"]
    assert [line.split()[0] for line in lines] == ["alpha", "beta"]
    assert lines[0].split()[-4:] == ["F32", "2048", "yes", "llamachat"]


def test_a_broken_model_is_listed_with_the_reason_and_is_no_error(
    ours: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_gguf(ours / "alpha.gguf").write_bytes(b"no model")
    assert run_app(["models"]) == 0
    title, line = capsys.readouterr().out.splitlines()
    assert title.endswith("NOTE")
    assert "GGUF" in line


def test_programs_get_every_field(ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_gguf(ours / "alpha.gguf")
    run_app(["models", "--output", "json"])
    assert json.loads(capsys.readouterr().out) == [
        {
            "v": 1, "aliases": [], "default": False,
            "name": "alpha", "path": str(path), "source": "llamachat", "n_bytes": path.stat().st_size, "type": "F32",
            "architecture": "llama", "n_ctx": 2048, "fits": True, "problem": "",
        }
    ]  # fmt: skip


def test_without_models_a_person_is_told_how_to_get_one_and_a_program_gets_an_empty_list(
    ours: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_app(["models"])
    told = capsys.readouterr()
    assert (told.out, "llamachat pull smollm2" in told.err) == ("", True)
    run_app(["models", "--output", "json"])
    assert json.loads(capsys.readouterr().out) == []


def test_a_file_s_name_cannot_write_to_the_terminal(ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_gguf(ours / "a\x1b]0;title\x07b\nc.gguf")
    run_app(["models"])
    assert capsys.readouterr().out.splitlines()[1].startswith("ab c ")
