import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import errors
from tiny_gguf import tiny_gguf

from llamachat.catalog.hub import fetch_from_hub
from llamachat.catalog.references import parse_reference
from llamachat.catalog.storage import no_progress
from llamachat.errors import LlamaChatError, ModelFileError, UsageError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """huggingface_hub finds what lies in this folder; it counts up to 100 in two bars, as it does for Xet."""

    def download(repo: str, file: str, *, tqdm_class: Callable[..., object]) -> str:
        bars = [tqdm_class(total=100, initial=0, desc="x", disable=False) for _ in range(2)]
        for bar in bars:
            for _ in range(10):
                bar.update(10)  # type: ignore[attr-defined]
            bar.close()  # type: ignore[attr-defined]
        path = tmp_path / repo / file
        if not path.exists():
            raise errors.EntryNotFoundError("404")
        return str(path)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return tmp_path


def test_a_file_stays_in_the_cache_of_hugging_face(hub: Path) -> None:
    tiny_gguf(hub / "owner/repo/folder/tiny.gguf")
    assert fetch_from_hub("hf:owner/repo/folder/tiny.gguf", no_progress) == hub / "owner/repo/folder/tiny.gguf"


def test_progress_rises_to_the_whole_though_there_are_two_bars(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_gguf(hub / "owner/repo/tiny.gguf")
    seen: list[tuple[int, int | None, str]] = []
    fetch_from_hub("hf:owner/repo/tiny.gguf", lambda *step: seen.append(step))
    assert [step[0] for step in seen] == sorted(step[0] for step in seen)
    assert seen[-1] == (100, 100, "downloading tiny.gguf")
    assert capsys.readouterr().err == ""


def test_a_split_model_is_fetched_in_all_its_parts(hub: Path) -> None:
    tiny_gguf(hub / "owner/repo/big-00001-of-00002.gguf")
    with pytest.raises(LlamaChatError, match=r"there is no big-00002-of-00002\.gguf in owner/repo"):
        fetch_from_hub("hf:owner/repo/big-00001-of-00002.gguf", no_progress)


def test_what_is_no_model_is_refused(hub: Path) -> None:
    path = tiny_gguf(hub / "owner/repo/page.gguf")
    path.write_bytes(b"<html>")
    with pytest.raises(ModelFileError):
        fetch_from_hub("hf:owner/repo/page.gguf", no_progress)


def _http(kind: type[Exception]) -> Exception:
    """The library's error without the answer of a server, which it wants in its constructor."""
    error = kind.__new__(kind)
    error.args = ("the library's words\nand more",)
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        pytest.param(_http(errors.GatedRepoError), "accept its terms: do so at https://huggingface.co/o/r", id="gated"),
        pytest.param(_http(errors.RepositoryNotFoundError), "no repository o/r", id="no repository"),
        pytest.param(_http(errors.RemoteEntryNotFoundError), "no x.gguf in o/r", id="no file"),
        pytest.param(errors.LocalEntryNotFoundError("x"), "cannot be reached", id="no network"),
        pytest.param(errors.OfflineModeIsEnabled("x"), "HF_HUB_OFFLINE forbids", id="offline"),
        pytest.param(errors.HFValidationError("x"), "o/r is no name of a repository", id="invalid name"),
        pytest.param(OSError(errno.ENOSPC, "full", "/c/blob"), "/c/blob: the disk is full", id="disk full"),
        pytest.param(ConnectionError("reset"), "cannot be reached .reset", id="any other"),
    ],
)
def test_the_library_s_errors_become_sentences(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(LlamaChatError, match=sentence) as said:
        fetch_from_hub("hf:o/r/x.gguf", no_progress)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    "reference",
    ["hf:", "hf:owner", "hf:owner/repo:", "hf:owner/repo:a b", "hf:owner/repo/", "hf:owner/repo/x.bin",
     "hf:../repo/x.gguf", "hf:owner/repo/../x.gguf", "hf:owner/repo//x.gguf", "hf:owner/re po/x.gguf",
     "hf:owner/repo/\x1bx.gguf"],
)  # fmt: skip
def test_a_reference_of_another_form_is_refused(reference: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(reference)


@pytest.mark.parametrize(
    ("error", "asks"),
    [
        pytest.param(ConnectionError("no route"), True, id="no network"),
        pytest.param(_http(errors.RepositoryNotFoundError), False, id="an answer"),
        pytest.param(errors.OfflineModeIsEnabled("x"), False, id="offline on purpose"),
    ],
)
def test_without_a_network_only_the_cache_is_asked(
    error: Exception, asks: bool, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, object]] = []

    def unreachable(url: str) -> None:
        raise error

    def download(repo: str, file: str, **options: object) -> str:
        given.append(options)
        return str(tiny_gguf(hub / file))

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    fetch_from_hub("hf:owner/repo/tiny.gguf", no_progress)
    assert bool(given[0].get("local_files_only")) is asks


def test_the_library_s_own_warnings_are_not_printed(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_gguf(hub / "owner/repo/tiny.gguf")
    fetch_from_hub("hf:owner/repo/tiny.gguf", no_progress)
    assert not logging.getLogger("huggingface_hub.utils._http").isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("address", ["hf:owner/repo", "hf:owner/repo:Q4_0", "hf:owner/repo/x.gguf"])
def test_without_a_network_there_is_one_sentence_and_nothing_of_the_library(address: str, tmp_path: Path) -> None:
    code = (
        "import sys, time; time.sleep = lambda seconds: sys.exit('waits')\n"
        "from llamachat.catalog.hub import fetch_from_hub; from llamachat.errors import LlamaChatError\n"
        "try: fetch_from_hub(sys.argv[1], lambda *step: None)\n"
        "except LlamaChatError as error: print(error)"
    )
    # nobody listens on port 1
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    environment["HF_HUB_VERBOSITY"] = "debug"
    done = subprocess.run(
        [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert done.stdout.startswith("Hugging Face cannot be reached")
