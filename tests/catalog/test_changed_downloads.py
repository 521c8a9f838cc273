"""Downloads from servers that change the file, do not heed what they are asked, or answer with odd numbers.

The server is a script: each connection gets the next answer, byte for byte.
"""

import errno
import fcntl
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny_gguf import tiny_bytes

from llamachat.catalog.storage import no_progress
from llamachat.catalog.web import fetch_from_web
from llamachat.errors import LlamaChatError, ModelFileError

OLD, NEW = tiny_bytes(n_rows=5000), tiny_bytes(n_rows=5000)[:-1] + b"\1"
HALF = len(OLD) // 2
REST = f"bytes {HALF}-{len(NEW) - 1}/{len(NEW)}"


def answer(status: str, body: bytes, **headers: object) -> bytes:
    """A raw answer; underscores of header names are hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


def half(**headers: object) -> bytes:
    """The first half of the old file."""
    return answer("200 OK", OLD[:HALF], Content_Length=len(OLD), **headers)


def whole(**headers: object) -> bytes:
    """All of the new file."""
    return answer("200 OK", NEW, Content_Length=len(NEW), **headers)


@dataclass
class Script:
    """What the server answers, and the headers that it was sent."""

    answers: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setenv("no_proxy", "*")
    script = Script()
    with socket.create_server(("127.0.0.1", 0)) as server:
        script.url = f"http://127.0.0.1:{server.getsockname()[1]}/x.gguf"
        thread = threading.Thread(target=_serve, args=(server, script), daemon=True)
        thread.start()
        yield script
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _serve(server: socket.socket, script: Script) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            asked = b""
            while b"\r\n\r\n" not in asked and (more := connection.recv(4096)):
                asked += more
            script.asked.append(asked.decode("latin-1"))
            connection.sendall(script.answers.pop(0))


def fetch(script: Script, folder: Path) -> bytes:
    return fetch_from_web(script.url, folder, no_progress).read_bytes()


def begun(script: Script, folder: Path, **headers: object) -> None:
    """A first attempt that ends in the middle."""
    script.answers = [half(**headers)]
    with pytest.raises(LlamaChatError, match="the connection ended early"):
        fetch(script, folder)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"ETag": '"two"'}, id="another ETag"),
        pytest.param({}, id="no version"),
        pytest.param({"ETag": 'W/"one"'}, id="a weak ETag"),
        pytest.param({"Last_Modified": "Mon, 30 Nov 2026 10:00:00 GMT"}, id="a date instead"),
    ],
)
def test_a_rest_that_is_not_of_the_version_begun_is_not_taken(
    headers: dict[str, str], script: Script, tmp_path: Path
) -> None:
    begun(script, tmp_path, ETag='"one"')
    rest = answer("206 Partial Content", NEW[HALF:], Content_Range=REST, **headers)
    script.answers = [rest, whole(ETag='"two"')]
    assert fetch(script, tmp_path) == NEW
    assert "If-Range" in script.asked[1]
    assert "Range" not in script.asked[2]


def test_a_rest_of_a_file_of_another_size_is_not_taken(script: Script, tmp_path: Path) -> None:
    begun(script, tmp_path, ETag='"one"')
    longer = f"bytes {HALF}-{len(NEW)}/{len(NEW) + 1}"
    script.answers = [answer("206 OK", NEW[HALF:] + b"x", Content_Range=longer, ETag='"one"'), whole()]
    assert fetch(script, tmp_path) == NEW


def test_a_rest_of_the_same_version_is_taken(script: Script, tmp_path: Path) -> None:
    date = "Mon, 30 Nov 2026 10:00:00 GMT"
    begun(script, tmp_path, Last_Modified=date)
    script.answers = [answer("206 OK", OLD[HALF:], Content_Range=REST, Last_Modified=date)]
    assert fetch(script, tmp_path) == OLD
    assert f"Range: bytes={HALF}-" in script.asked[1]


@pytest.mark.parametrize(
    "extent",
    ["bytes ²-5/9", "bytes 7-9/*", f"bytes {'9' * 5000}-9/9", f"bytes {HALF}-9/{'9' * 5000}", f"bytes {HALF}-9/5", ""],
    ids=["no digit", "no size", "a long start", "a long size", "beyond the end", "nothing"],
)
def test_an_odd_range_begins_the_download_again(extent: str, script: Script, tmp_path: Path) -> None:
    begun(script, tmp_path, ETag='"one"')
    script.answers = [answer("206 OK", NEW[HALF:], Content_Range=extent, ETag='"one"'), whole()]
    assert fetch(script, tmp_path) == NEW


@pytest.mark.parametrize("length", ["9" * 5000, "²", "-5", "+5", "5_0", "1e3", "0x10", "9, 9", ""])
def test_a_length_that_is_no_number_is_a_sentence(length: str, script: Script, tmp_path: Path) -> None:
    script.answers = [answer("200 OK", NEW, Content_Length=length)]
    with pytest.raises(LlamaChatError, match="Content-Length is no number"):
        fetch(script, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [b"zz", b"-5", b"9" * 5000, b"\xb2"])
def test_an_odd_chunk_is_a_sentence(size: bytes, script: Script, tmp_path: Path) -> None:
    script.answers = [answer("200 OK", size + b"\r\n" + NEW + b"\r\n", Transfer_Encoding="chunked")]
    with pytest.raises(LlamaChatError) as refusal:
        fetch(script, tmp_path)
    assert len(str(refusal.value)) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "raw", [b"", b"\0\xff\r\n\r\n", b"HTTP/1.1 999999 x\r\n\r\n", b"HTTP/1.1 302 x\r\nLocation: http://[x\r\n\r\n"]
)
def test_an_answer_that_is_no_answer_is_a_sentence(raw: bytes, script: Script, tmp_path: Path) -> None:
    script.answers = [raw]
    with pytest.raises(LlamaChatError):
        fetch(script, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}, {"ETag": '"a\xe9"'}, {"ETag": '"' + "a" * 2000 + '"'}])
def test_a_part_that_cannot_be_continued_does_not_stay(headers: dict[str, str], script: Script, tmp_path: Path) -> None:
    begun(script, tmp_path, **headers)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_download_left_without_a_version_is_removed_by_the_next(script: Script, tmp_path: Path) -> None:
    left, held, kept = (tmp_path / f".{name}.gguf.0123456789ab.part" for name in ("left", "held", "kept"))
    for path in (left, held, kept):
        path.write_bytes(OLD[:HALF])
    kept.with_suffix(".version").write_text('"one"\n')
    left.with_suffix(".version").write_text("\n")
    with open(held, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another process is writing it
        script.answers = [whole()]
        fetch(script, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "x.gguf", held.name, kept.name, kept.with_suffix(".version").name,
    }  # fmt: skip


def test_a_download_where_the_file_system_has_no_locks_is_refused_with_what_to_do(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with pytest.raises(LlamaChatError, match=r"x\.gguf: the file system has no locks .* LLAMACHAT_MODELS"):
        fetch(script, tmp_path)
    assert script.asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_version_is_never_claimed_for_bytes_of_another(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two files: the new version must not stand beside the old bytes."""
    begun(script, tmp_path, ETag='"one"')
    (part,) = tmp_path.glob(".*.part")
    states: list[tuple[int, str]] = []
    write = Path.write_text

    def seen(path: Path, text: str, *more: object) -> int:
        states.append((part.stat().st_size, text))
        return write(path, text, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", seen)
    script.answers = [whole(ETag='"two"')]
    assert fetch(script, tmp_path) == NEW
    assert states == [(0, f'"two"\n{len(NEW)}\n')]


def test_a_server_that_sends_no_model_leaves_nothing(script: Script, tmp_path: Path) -> None:
    script.answers = [answer("200 OK", b"<html>", ETag='"one"', Content_Length=6)]
    with pytest.raises(ModelFileError, match="not a GGUF file"):
        fetch(script, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_more_than_the_file_has_is_told_so(script: Script, tmp_path: Path) -> None:
    rest = answer("206 Partial Content", OLD[HALF:] + b"more", Content_Range=REST, ETag='"one"')
    script.answers = [half(ETag='"one"'), rest]
    with pytest.raises(LlamaChatError, match="ended early"):
        fetch_from_web(script.url, tmp_path, no_progress)
    with pytest.raises(LlamaChatError, match=f"more than the {len(OLD)} bytes that it said"):
        fetch_from_web(script.url, tmp_path, no_progress)
    script.answers = [answer("416 Range Not Satisfiable", b""), whole(ETag='"one"')]
    assert fetch_from_web(script.url, tmp_path, no_progress).read_bytes() == NEW
