"""Broken and foreign files: each is refused with its path, the place and a reason; never another exception."""

import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf_bytes import (
    ARRAY,
    BOOL,
    NAME,
    STRING,
    U8,
    U32,
    U64,
    Info,
    array,
    gguf_bytes,
    nested,
    scalar,
    text,
)

from llamachat.engine.gguf import open_gguf, parse
from llamachat.errors import ExitCode, LlamaChatError, ModelFileError, Unsupported

NOBODY = 65_534
GOOD = gguf_bytes()
A_PAIR = tuple(NAME.items())


def with_value(value: bytes, key: str | bytes = "a.key") -> bytes:
    return gguf_bytes([*A_PAIR, (key, value)])


def with_tensors(*infos: Info, n_data: int = 64) -> bytes:
    return gguf_bytes(infos=infos, n_data=n_data)


FOREIGN = [
    pytest.param(b"", "the file is empty", id="empty"),
    pytest.param(b"GG", "the file is incomplete", id="two bytes"),
    pytest.param(b"PK\x03\x04" + bytes(100), "not a GGUF file", id="a zip archive"),
    pytest.param(b"ggjt" + bytes(100), "not a GGUF file", id="the format before GGUF"),
]

COUNTS = [
    pytest.param(gguf_bytes(counts=(2**63, 1)), "9223372036854775808 tensors", id="tensors"),
    pytest.param(gguf_bytes(counts=(1, 2**64 - 1)), "18446744073709551615 metadata keys", id="keys"),
    pytest.param(gguf_bytes(counts=(2, 1)), "more than the file holds|dimensions|ends inside", id="one tensor more"),
    pytest.param(gguf_bytes(n_data=1_000_000, counts=(1, 70_000)), "more than makes sense", id="keys beyond reason"),
    pytest.param(with_value(array(U32, [], 2**62)), "a.key: claims 4611686018427387904 elements", id="numbers"),
    pytest.param(with_value(array(U64, [], 2**61)), "more than the file holds", id="elements that overflow 64 bits"),
    pytest.param(with_value(array(STRING, [], 2**60)), "more than the file holds", id="strings"),
    pytest.param(with_value(array(STRING, ["a"], 5)), "ends inside the strings of a.key", id="fewer strings"),
    pytest.param(with_value(struct.pack("<IIQ", ARRAY, ARRAY, 2**59)), "nested arrays, more", id="nested arrays"),
    pytest.param(with_value(struct.pack("<IQ", STRING, 2**63)), "claims 9223372036854775808 bytes", id="long text"),
    pytest.param(with_value(struct.pack("<IQ", STRING, 9_000)), "ends inside the value of a.key", id="cut text"),
    pytest.param(with_value(b"", b"k" * 70_000), "claims 70000 bytes; 65535 is the most", id="long key"),
]

VALUES = [
    pytest.param(with_value(struct.pack("<I", 13)), "a.key: has the unknown value type 13", id="value type"),
    pytest.param(with_value(struct.pack("<IIQ", ARRAY, 77, 0)), "a.key: has the unknown element type 77", id="element"),
    pytest.param(with_value(scalar(BOOL, 2)), "the value of a.key is a truth value of 2, not 0 or 1", id="bool of 2"),
    pytest.param(with_value(nested(4, array(U8, [1]))), "a.key: has arrays nested more than 4 deep", id="nesting"),
    pytest.param(with_value(scalar(U8, 1), b"\xff\xfe"), "metadata key 2 of 2 is not UTF-8: b'", id="key not UTF-8"),
    pytest.param(gguf_bytes([*A_PAIR, *A_PAIR]), "general.architecture: the metadata key occurs twice", id="twice"),
]

ALIGNMENTS = [
    pytest.param(scalar(U32, 0), "0 is not a power of two", id="0"),
    pytest.param(scalar(U32, 48), "48 is not a power of two", id="48"),
    pytest.param(scalar(U32, 2**31), "2147483648 is not a power of two up to", id="2^31"),
    pytest.param(scalar(BOOL, 1), "True is not", id="a truth value"),
    pytest.param(scalar(STRING, "32\n"), r"'32\\n' is not", id="a text"),
    pytest.param(array(U32, [32, 32]), "an array is not", id="an array"),
]

TENSORS = [
    pytest.param(with_tensors(Info("x\n\x1b[31m")), None, id="a name with control characters is only a name"),
    pytest.param(with_tensors(Info(b"\xc3\x28")), "the name of tensor 1 of 1 is not UTF-8", id="name not UTF-8"),
    pytest.param(with_tensors(Info(dims=(), n_dims=0)), "t: has 0 dimensions, not 1 to 4", id="no dimensions"),
    pytest.param(with_tensors(Info(dims=(1,) * 5)), "t: has 5 dimensions, not 1 to 4", id="five dimensions"),
    pytest.param(with_tensors(Info(n_dims=2**32 - 1)), "t: has 4294967295 dimensions", id="absurd dimensions"),
    pytest.param(with_tensors(Info(dims=(0, 4))), r"t: has the impossible shape \[4, 0\]", id="a dimension of zero"),
    pytest.param(with_tensors(Info(dims=(2**63, 2))), "impossible shape", id="a huge dimension"),
    pytest.param(with_tensors(Info(dims=(2**32, 2**32))), "impossible shape", id="product wraps to zero"),
    pytest.param(with_tensors(Info(dims=(2**16,) * 4)), "impossible shape", id="product of four wraps to zero"),
    pytest.param(with_tensors(Info(dims=(40, 2), kind=2)), "rows of 40, not a multiple of Q4_0's blocks of", id="row"),
    pytest.param(with_tensors(Info(dims=(128, 2), kind=12)), "rows of 128, not a multiple of Q4_K", id="K row"),
    pytest.param(with_tensors(Info("a"), Info("a", offset=64), n_data=128), "a: the tensor occurs twice", id="twice"),
    pytest.param(with_tensors(Info("a"), Info("b", offset=32), n_data=96), "b: overlaps the tensor a", id="overlap"),
    pytest.param(with_tensors(Info("a"), Info("b"), n_data=96), "overlaps the tensor", id="same place"),
    pytest.param(with_tensors(Info(offset=8), n_data=96), "begins at offset 8, not a multiple of 32", id="misaligned"),
    pytest.param(with_tensors(Info(offset=64), n_data=96), "t: lies beyond the end of the file", id="half outside"),
    pytest.param(with_tensors(Info(offset=2**64 - 32)), "t: lies beyond the end of the file", id="far outside"),
    pytest.param(with_tensors(Info(dims=(2**40,))), "t: lies beyond the end of the file", id="too large"),
    pytest.param(with_tensors(Info("a\nb", offset=8)), r"'a\\nb': begins", id="a name with a newline in a message"),
]

UNSUPPORTED = [
    pytest.param(gguf_bytes(version=1), "GGUF version 1 is not read any more", id="version 1"),
    pytest.param(gguf_bytes(version=99), "GGUF version 99 is not known", id="version 99"),
    pytest.param(gguf_bytes(version=0), "GGUF version 0 is not known", id="version 0"),
    pytest.param(b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "a big-endian GGUF file", id="big-endian"),
    pytest.param(with_tensors(Info(kind=4)), "t: has the unknown block type 4", id="a removed block type"),
    pytest.param(with_tensors(Info(kind=2**32 - 1)), "has the unknown block type 4294967295", id="block type"),
]

BAD = [case for case in (*FOREIGN, *COUNTS, *VALUES, *TENSORS) if case.values[1] is not None]


@pytest.mark.parametrize(("content", "words"), BAD)
def test_a_broken_file_is_refused_with_path_place_and_reason(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=words) as caught:
        open_gguf(path)
    assert type(caught.value) is ModelFileError
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == ExitCode.MODEL == 3


@pytest.mark.parametrize(("content", "words"), UNSUPPORTED)
def test_a_well_formed_file_of_an_unknown_kind_is_unsupported(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.gguf"
    path.write_bytes(content)
    with pytest.raises(Unsupported, match=words) as caught:
        open_gguf(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.exit_code == ExitCode.MODEL == 3


@pytest.mark.parametrize(("value", "words"), ALIGNMENTS)
def test_an_alignment_that_is_no_power_of_two_is_refused(value: bytes, words: str) -> None:
    content = with_value(value, "general.alignment")
    with pytest.raises(ModelFileError, match=f"general.alignment: {words}"):
        parse(content, Path("bad.gguf"))


def test_control_characters_in_names_are_kept_and_never_printed() -> None:
    content = with_tensors(Info("x\n\x1b[31m"))
    assert list(parse(content, Path("odd.gguf")).tensors) == ["x\n\x1b[31m"]


@pytest.mark.parametrize("key", ["a\nb", "\x1b[2J", "\u202egnp", "", "k" * 60_000], ids=lambda key: ascii(key[:9]))
def test_a_message_about_an_odd_key_is_one_short_printable_line(key: str) -> None:
    for value in (scalar(BOOL, 2), struct.pack("<I", 13), struct.pack("<IIQ", ARRAY, 8, 2**40)):
        with pytest.raises(ModelFileError) as caught:
            parse(gguf_bytes([(key, value)], infos=()), Path("bad.gguf"))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


def region(n_bytes: int) -> str:
    """What the file is cut inside of, in the words of the message."""
    pair = len(text("general.architecture"))
    ends = [(4, "incomplete"), (8, "the version"), (16, "the number of tensors"), (24, "the number of metadata")]
    if n_bytes == 0:
        return "empty"
    for end, words in ends:
        if n_bytes < end:
            return words
    header = 24 + pair + len(scalar(STRING, "llama")) + len(Info().raw())
    return "more than the file holds|ends inside" if n_bytes < header else "incomplete.*fetch it again"


@pytest.mark.parametrize("n_bytes", range(len(GOOD)))
def test_a_file_cut_anywhere_is_refused(n_bytes: int) -> None:
    with pytest.raises(ModelFileError, match=region(n_bytes)):
        parse(GOOD[:n_bytes], Path("cut.gguf"))


CUT = [
    pytest.param("k" * 60, "metadata key 1 of 2", id="key"),
    pytest.param("x" * 60, "the value of k", id="text"),
    pytest.param("second.key", "metadata key 2 of 2", id="second key"),
    pytest.param("\1\0\0\0\1\0\0\0", "second.key: claims 40 elements", id="array"),
    pytest.param("tensor.name", "the name of tensor 1 of 1", id="tensor name"),
    pytest.param("\x07\0\0\0\0\0\0\0", "the dimensions of tensor.name", id="dimensions"),
    pytest.param("\x1e\0\0\0", "the type of tensor.name", id="type"),
    pytest.param("\x99\0\0\0", "the offset of tensor.name", id="offset"),
]


@pytest.mark.parametrize(("inside", "words"), CUT)
def test_a_file_cut_in_the_header_says_what_it_ends_inside_of(inside: str, words: str) -> None:
    pairs = [("k" * 60, scalar(STRING, "x" * 60)), ("second.key", array(U32, [1] * 40))]
    content = gguf_bytes(pairs, [Info("tensor.name", dims=(7,), kind=30, offset=0x99)])
    cut = content.index(inside.encode("latin-1")) + len(inside) - 1
    with pytest.raises(ModelFileError, match=words):
        parse(content[:cut], Path("cut.gguf"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.gguf: no such file"):
        open_gguf(tmp_path / "nothing.gguf")


def test_a_path_through_a_file_is_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(GOOD)
    with pytest.raises(ModelFileError, match="no such file"):
        open_gguf(tmp_path / "file" / "model.gguf")


def test_a_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"is a directory; give the path of a \.gguf file"):
        open_gguf(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelFileError, match="is no regular file"):
        open_gguf(tmp_path / "pipe.gguf")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter (those above `tmp_path` are closed), for a user who is not root."""
    if not hasattr(os, "seteuid"):
        pytest.skip("this system has no users to become")
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        folder.chmod(0o755)
        (folder / "secret.gguf").write_bytes(GOOD)
        (folder / "secret.gguf").chmod(0)
        if user == 0:
            try:
                os.seteuid(NOBODY)
            except OSError:
                pytest.skip("root may read everything, and cannot become nobody here")
        try:
            yield folder
        finally:
            os.seteuid(user)


def test_a_file_without_permission_is_named(open_folder: Path) -> None:
    path = open_folder / "secret.gguf"
    with pytest.raises(ModelFileError) as caught:
        open_gguf(path)
    assert str(caught.value) == f"{path}: no permission to read it"


@pytest.mark.parametrize("name", ["null\0byte.gguf", "long" * 2_000], ids=["null byte", "too long"])
def test_a_path_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LlamaChatError, match="cannot be"):
        open_gguf(tmp_path / name)
