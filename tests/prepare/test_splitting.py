"""One model in several files and back: nothing changes, nothing is lost."""

from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.gguf.reader import open_part
from llamachat.errors import LlamaChatError, UsageError
from llamachat.prepare import splitting
from llamachat.prepare.splitting import merge, plan_split, write_split


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve tensors of 4 kB, and metadata of unusual types."""
    rng = np.random.default_rng(1)
    metadata = {
        "general.architecture": "llama",
        "general.alignment": np.uint32(64),
        "x.bytes": np.arange(5, dtype=np.uint8),
        "x.texts": [b"\xff\xfe", "a"],
    }
    tensors = [(f"t{i}", "F32", (16, 64), rng.standard_normal((16, 64)).astype(np.float32)) for i in range(12)]
    write_gguf(tmp_path / "model.gguf", metadata, tensors)
    return tmp_path / "model.gguf"


@pytest.mark.parametrize("limits", [{"max_tensors": 5}, {"max_bytes": 12_000}, {"max_bytes": 9_000, "max_tensors": 2}])
def test_merged_again_it_is_the_same_to_the_bit(source: Path, limits: dict[str, int]) -> None:
    file = open_gguf(source)
    parts = plan_split(file, source.with_name("part.gguf"), **limits)
    write_split(file, parts)
    assert [one.path.name for one in parts] == [f"part-{i + 1:05d}-of-{len(parts):05d}.gguf" for i in range(len(parts))]
    for i, part in enumerate(parts):
        assert part.path.stat().st_size == part.n_bytes <= limits.get("max_bytes", 1 << 30)
        assert len(part.tensors) <= limits.get("max_tensors", 12)
        found = open_part(part.path).metadata
        assert (found["split.no"], found["split.count"], found["split.tensors.count"]) == (i, len(parts), 12)
        assert ("general.architecture" in found) == (i == 0)
    assert list(open_gguf(parts[1].path).tensors) == list(file.tensors)
    merge(parts[-1].path, source.with_name("whole.gguf"))
    assert source.with_name("whole.gguf").read_bytes() == source.read_bytes()


def test_a_tensor_larger_than_a_file_has_one_of_its_own(source: Path) -> None:
    assert {len(one.tensors) for one in plan_split(open_gguf(source), source, max_bytes=1000)} == {1}


def test_what_cannot_be_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = open_gguf(source)
    with pytest.raises(UsageError, match="give the largest size"):
        plan_split(file, source)
    monkeypatch.setattr(splitting, "MOST_FILES", 3)
    with pytest.raises(UsageError, match="these would be 6 files"):
        plan_split(file, source, max_tensors=2)
    with pytest.raises(UsageError, match="is no file of a split model"):
        merge(source, source.with_name("other.gguf"))
    parts = plan_split(file, source.with_name("part"), max_tensors=6)
    write_split(file, parts)
    with pytest.raises(UsageError, match="there is such a file already"):
        write_split(file, parts)
    with pytest.raises(UsageError, match="is the file that is read"):
        merge(parts[0].path, parts[1].path, overwrite=True)


def test_a_full_disk_leaves_no_file(source: Path, small_disk) -> None:
    small_disk.fill()
    file = open_gguf(source)
    with pytest.raises(LlamaChatError, match="are needed and"):
        write_split(file, plan_split(file, small_disk.path / "part", max_tensors=2))
    assert [one.name for one in small_disk.path.iterdir()] == ["filler"]


def test_the_commands_say_what_they_do(source: Path, program) -> None:
    out = source.with_name("p")
    dry = program("split", source, out, "--max-tensors", 6, "--dry-run")
    assert len(list(source.parent.iterdir())) == 1
    done = program("split", source, out, "--max-tensors", 6)
    assert (dry.stdout, done.returncode, done.stderr) == (done.stdout, 0, "")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["TENSORS", "6", "6"]
    again = program("merge", f"{out}-00001-of-00002.gguf", source)
    assert (again.returncode, "there is such a file already (--overwrite)" in again.stderr) == (2, True)
    assert program("split", source, out, "--max-size", "many").returncode == 2
