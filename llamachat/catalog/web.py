"""Models from web addresses: one GET per file, resumed where it broke off, checked before it gets its name.

urllib is enough: it follows proxies and redirects, and what is added here is the refusal of unencrypted addresses
and the continuation of a partial file, which only counts if the server still has the same one (If-Range).
"""

import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from llamachat import __version__
from llamachat.catalog.splits import part_names
from llamachat.catalog.storage import CHUNK, Progress, check_free, file_name, flush, storing
from llamachat.errors import LlamaChatError, ModelFileError, Unsupported, UsageError

MAGIC = b"GGUF"
_TIMEOUT_S = 30
_LOCAL = ("localhost", "127.0.0.1", "::1")
_KEPT = "/%:@!$&'()*+,;=~?[]"

_STATUS = {
    401: "access needs a password or token that llamachat does not have",
    403: "access is forbidden",
    404: "no such file there (404)",
    410: "the file is gone (410)",
    429: "the server asks to wait (429); try again later",
}


def fetch_from_web(url: str, folder: Path, progress: Progress) -> Path:
    """The file at the address, in `folder`; of a split model, all its files, and the path of the first.

    A broken download leaves a hidden partial file, and the same call goes on from there. Raises UsageError for an
    address that is not one of a GGUF file or not encrypted, ModelFileError if what came is no GGUF file,
    LlamaChatError if the server or the disk fails.
    """
    parts = urlsplit(_encoded(_checked(url)))
    head, _, last = parts.path.rpartition("/")
    addresses = [urlunsplit(parts._replace(path=f"{head}/{name}", fragment="")) for name in part_names(last)]
    fetched = [_fetch_file(address, folder, progress) for address in addresses]
    _check_opens(fetched[0][0], new=[target for target, is_new in fetched if is_new])
    return fetched[0][0]


def _checked(url: str) -> str:
    """The address if it is https, or http on this very machine; else UsageError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{url}: not a web address ({error})") from error
    if not host or re.search(r"[\x00-\x20\x7f]", url) or parts.scheme not in ("https", "http"):
        raise UsageError(f"{url}: not a web address of the form https://host/path/name.gguf")
    if parts.username is not None:
        raise UsageError(f"{host}: an address with a name or password in it is not supported")
    if parts.scheme == "http" and host not in _LOCAL:
        raise UsageError(f"{url}: not encrypted; use https://")
    return url


def _encoded(url: str) -> str:
    """The address in ASCII: letters beyond it percent-encoded, in the host's name as IDNA writes them. UsageError."""
    parts = urlsplit(url)
    try:
        host = parts.netloc.encode("idna").decode("ascii") if not parts.netloc.isascii() else parts.netloc
        path, query = (quote(part, safe=_KEPT) for part in (parts.path, parts.query))
    except UnicodeError as error:
        raise UsageError(f"{url}: not a web address (its letters cannot be encoded)") from error
    return urlunsplit(parts._replace(netloc=host, path=path, query=query))


class _EncryptedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to http, and to http on this machine only from this machine."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        try:
            _checked(newurl)
        except UsageError as error:
            raise LlamaChatError(f"{req.full_url}: the server sends us on to {error}") from error
        if urlsplit(newurl).scheme == "http" and urlsplit(req.full_url).hostname not in _LOCAL:
            raise LlamaChatError(f"{req.full_url}: the server sends us on to {newurl}, an address of this machine")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True)
class _Answer:
    """The server's answer: the body from byte `start` on, the whole file's size, and what identifies its version."""

    body: http.client.HTTPResponse
    start: int
    total: int | None
    version: str


class _RangeRefused(LlamaChatError):
    """The server has no such part of the file (416): what is here does not belong to what is there."""


@contextmanager
def _network(what: str) -> Iterator[None]:
    """The one door for errors of urllib and http.client: each becomes a sentence that begins with `what`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        sentence = _STATUS.get(error.code) or f"the server answers {error.code} {error.reason}"
        raise (_RangeRefused if error.code == 416 else LlamaChatError)(f"{what}: {sentence}") from error
    except urllib.error.URLError as error:
        raise LlamaChatError(f"{what}: cannot be reached ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise LlamaChatError(f"{what}: the connection broke off ({error}); try the same command again") from error


def _fetch_file(url: str, folder: Path, progress: Progress) -> tuple[Path, bool]:
    """The file in `folder`, and whether it is new there."""
    name = file_name(unquote(urlsplit(url).path), url)
    target = folder / name
    part = folder / f".{name[:120]}.{hashlib.sha256(url.encode()).hexdigest()[:12]}.part"
    with storing(target), open(part, "ab+") as file:
        _lock(file, name)
        try:
            answer = _open(url, _resumable(part, file))
            with answer.body:
                if target.exists():  # looked at under the lock: another process may have just finished
                    return _already_there(target, answer), False
                _receive(answer, file, part, lambda done: progress(done, answer.total, f"downloading {name}"))
            os.replace(part, target)
            return target, True
        finally:
            if target.exists() or os.fstat(file.fileno()).st_size == 0:
                _forget(part)


def _already_there(target: Path, answer: _Answer) -> Path:
    size = target.stat().st_size
    if answer.total in (None, size):
        return target
    raise LlamaChatError(f"{target}: a file of this name but another size is already there; move it away first")


def _lock(file: BinaryIO, name: str) -> None:
    """Two processes must not write one partial file: the second is told so."""
    if sys.platform == "win32":
        return  # open files cannot be renamed there, which ends the second one too
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LlamaChatError(f"{name}: another process is downloading this file") from error


def _version_file(part: Path) -> Path:
    return part.with_suffix(".version")


def _resumable(part: Path, file: BinaryIO) -> tuple[int, str]:
    """Bytes that are already here and the version that they belong to; (0, "") where that is unknown."""
    size = os.fstat(file.fileno()).st_size
    try:
        version = _version_file(part).read_text("latin-1") if size else ""
    except OSError:
        version = ""
    return (size, version) if version else (0, "")


def _open(url: str, resume: tuple[int, str]) -> _Answer:
    """Asks for the file, or for the rest of it if the server still has the version that we began with."""
    start, version = resume
    headers = {"User-Agent": f"llamachat/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    opener = urllib.request.build_opener(_EncryptedRedirects)
    try:
        with _network(url):
            body = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except _RangeRefused:
        if not start:
            raise
        return _open(url, (0, ""))
    sent, total = _extent(body)
    if sent not in (0, start):
        body.close()
        if not start:
            raise LlamaChatError(f"{url}: the server sends another part of the file than it was asked for")
        return _open(url, (0, ""))
    return _Answer(body, sent, total, _version(body.headers))


def _extent(body: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the body begins and how long the whole file is (None where the server does not say)."""
    if body.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", body.headers.get("Content-Range", ""))
        return (int(found[1]), int(found[2])) if found else (-1, None)
    length = body.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _version(headers: http.client.HTTPMessage) -> str:
    """What If-Range may name: a strong ETag, else the date of the last change."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _receive(answer: _Answer, file: BinaryIO, part: Path, report: Callable[[int], None]) -> None:
    """Writes the body behind what is there, to the end, and checks the length."""
    _version_file(part).write_text(answer.version, "latin-1")
    done = answer.start
    file.truncate(done)
    if answer.total is not None:
        check_free(part.parent, answer.total - done)
    for chunk in _chunks(answer.body, part.name):
        if done == 0 and not chunk.startswith(MAGIC):
            raise ModelFileError("what the server sends is not a GGUF file", answer.body.url)
        file.write(chunk)
        report(done := done + len(chunk))
    file.flush()
    flush(file.fileno())
    if done == 0:
        raise ModelFileError("the server sends an empty file", answer.body.url)
    if answer.total is not None and done != answer.total:
        then = "goes on from there" if answer.version else "begins again"
        raise LlamaChatError(f"{answer.body.url}: the connection ended early; the same command {then}")


def _chunks(body: http.client.HTTPResponse, name: str) -> Iterator[bytes]:
    while True:
        with _network(name):
            chunk = body.read(CHUNK)
        if not chunk:
            return
        yield chunk


def _forget(part: Path) -> None:
    for path in (part, _version_file(part)):
        with suppress(OSError):
            path.unlink()


def _check_opens(first: Path, new: list[Path]) -> None:
    """Reads the header; new files that are no valid GGUF are removed. What is merely unsupported stays."""
    from llamachat.engine.gguf import open_gguf  # numpy

    try:
        open_gguf(first)
    except Unsupported:
        raise
    except ModelFileError:
        for target in new:
            target.unlink(missing_ok=True)
        raise
