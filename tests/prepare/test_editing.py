"""Metadata that are changed: what was asked for and nothing else, at any moment the old file or the new one."""

import os
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.errors import UsageError
from llamachat.prepare.editing import plan_edit, write_edit

METADATA = {
    "general.architecture": "llama",
    "general.name": "Before",
    "llama.context_length": np.uint32(2048),
    "llama.rope.freq_base": np.float32(10000),
    "tokenizer.ggml.add_bos_token": True,
    "tokenizer.ggml.tokens": ["a", "b"],
    "x.small": np.int8(3),
    "x.list": np.array([1, 2], np.int32),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "model.gguf", METADATA, [("t", "F32", (8,), np.arange(8, dtype=np.float32))])
    return tmp_path / "model.gguf"


def edited(path: Path, *assignments: str, deleted: tuple[str, ...] = ()) -> dict[str, object]:
    write_edit(plan_edit(path, assignments, deleted))
    return dict(open_gguf(path).metadata)


@pytest.mark.parametrize(
    ("assignment", "wanted"),
    [
        pytest.param("llama.context_length=4096", 4096, id="a number of the same type"),
        pytest.param("llama.context_length=int:1", 1, id="int keeps the exact type"),
        pytest.param("llama.rope.freq_base=float:5e5", 500000.0, id="float"),
        pytest.param("tokenizer.ggml.add_bos_token=false", False, id="bool"),
        pytest.param("general.name=After", "After", id="a shorter text"),
        pytest.param("general.name=a: b=c", "a: b=c", id="a text with signs"),
        pytest.param("general.name=str:int:3", "int:3", id="a text that looks typed"),
        pytest.param("general.name=@@home", "@home", id="a text that begins with @"),
        pytest.param("general.name=u32:7", 7, id="another type"),
        pytest.param("x.new=i64:-5", -5, id="a new key"),
        pytest.param("tokenizer.chat_template={{ a }}", "{{ a }}", id="a first chat template needs no type"),
        pytest.param("x.small=-128", -128, id="the least of its type"),
        pytest.param('tokenizer.ggml.tokens=["c", "d", "e"]', ["c", "d", "e"], id="an array of texts"),
        pytest.param("x.list=[3, 4, 5]", [3, 4, 5], id="an array of numbers"),
        pytest.param("x.more=f32:[0.5, 1]", [0.5, 1.0], id="a new array"),
    ],
)
def test_one_key_has_its_new_value_and_all_else_is_as_it_was(source: Path, assignment: str, wanted: object) -> None:
    before = dict(open_gguf(source).metadata)
    found = edited(source, assignment)
    key = assignment.partition("=")[0]
    assert type(found[key]) is type(wanted) or isinstance(found[key], np.ndarray)
    np.testing.assert_array_equal(found.pop(key), wanted)
    before.pop(key, None)
    assert list(found) == list(before)
    for name, value in before.items():
        np.testing.assert_array_equal(found[name], value)
    assert open_gguf(source).tensors["t"].data.tobytes() == np.arange(8, dtype=np.float32).tobytes()


def test_a_template_comes_from_a_file_and_a_key_can_go(source: Path, tmp_path: Path) -> None:
    (tmp_path / "template").write_text("{{ messages }}\n")
    found = edited(source, f"tokenizer.chat_template=str:@{tmp_path / 'template'}", deleted=("x.small",))
    assert found["tokenizer.chat_template"] == "{{ messages }}\n"
    assert "x.small" not in found


def test_a_number_is_changed_in_place_by_one_write(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, inode = source.read_bytes(), source.stat().st_ino
    plan = plan_edit(source, ["llama.context_length=4096"])
    assert plan.in_place is not None
    assert len(plan.in_place[1]) <= 4
    write_edit(plan)
    assert source.stat().st_ino == inode
    assert [a for a, b in zip(raw, source.read_bytes(), strict=True) if a != b] == [8]


def test_a_change_across_a_page_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path, {"general.architecture": "llama", "a": "x" * 9000}, [("t", "I8", (8,), np.zeros(8, np.uint8))])
    assert plan_edit(path, ["a=" + "y" * 9000]).in_place is None
    inode = path.stat().st_ino
    assert edited(path, "a=" + "y" * 9000)["a"] == "y" * 9000
    assert path.stat().st_ino != inode


def test_an_end_in_the_middle_leaves_the_file(source: Path) -> None:
    raw = source.read_bytes()

    def stop(done: int, total: int | None, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_edit(plan_edit(source, ["general.name=A much longer name than before"]), report=stop)
    assert source.read_bytes() == raw
    assert os.listdir(source.parent) == ["model.gguf"]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("llama.context_length", "a change is KEY=VALUE"),
        ("x.other=3", "a new one needs a type, as in x.other=str:3"),
        ("llama.context_length=many", "'many' must be a whole number"),
        ("x.small=128", r"128 must be from -128 to 127 \(i8\)"),
        ("tokenizer.ggml.add_bos_token=1", "must be true or false"),
        ("x.list=7", "is an array in the file"),
        ("x.list=[1,", "is no array of JSON"),
        ('x.list=["a"]', "must have numbers only"),
        ("tokenizer.ggml.tokens=[1]", "must have texts only"),
        ("general.alignment=u32:64", "cannot be changed"),
        ("general.name=@/no/such/file", "no such file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(source: Path, assignment: str, said: str) -> None:
    raw = source.read_bytes()
    with pytest.raises(UsageError, match=said):
        plan_edit(source, [assignment])
    assert source.read_bytes() == raw


def test_keys_that_must_stay_or_are_not_there_are_not_deleted(source: Path) -> None:
    for key, said in {"general.architecture": "the file is no model", "x.none": "no such key"}.items():
        with pytest.raises(UsageError, match=said):
            plan_edit(source, [], [key])


def test_the_command_shows_before_and_after(source: Path, program, tmp_path: Path) -> None:
    raw = source.read_bytes()
    dry = program("edit", source, "general.name=After", "--dry-run")
    assert source.read_bytes() == raw
    assert dry.stdout.splitlines()[1].split() == ["general.name", "Before", "After"]
    done = program("edit", source, "general.name=After", "-o", tmp_path / "copy.gguf")
    assert (done.returncode, done.stdout) == (0, dry.stdout)
    assert source.read_bytes() == raw
    assert open_gguf(tmp_path / "copy.gguf").metadata["general.name"] == "After"
    assert program("edit", source).returncode == 2
