"""Models from web addresses: one GET per file, resumed where it broke off, checked before it gets its name.

urllib is enough: it follows proxies and redirects. Added here: unencrypted addresses are refused, and a partial file is
continued. The server is asked for the rest of the same version (If-Range); its answer counts only if it names that
version.
"""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from llamachat import __version__
from llamachat.catalog.partial import Partial, Version, partial
from llamachat.catalog.splits import part_names
from llamachat.catalog.storage import CHUNK, Progress, check_free, file_name, storing
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

    A broken download leaves a hidden partial file, and the same call continues from there. Raises UsageError for an
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
            raise LlamaChatError(f"{req.full_url}: the server redirects to {error}") from error
        if urlsplit(newurl).scheme == "http" and urlsplit(req.full_url).hostname not in _LOCAL:
            raise LlamaChatError(f"{req.full_url}: the server redirects to {newurl}, an address of this machine")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True)
class _Answer:
    """The server's answer: the body from byte `start` on, and which version of the file it is of."""

    body: http.client.HTTPResponse
    start: int
    version: Version


class _RangeRefused(LlamaChatError):
    """The server has no such part of the file (416): what is here does not belong to what is there."""


@contextmanager
def _network(what: str) -> Iterator[None]:
    """Turns errors of urllib and http.client into LlamaChatError; the sentence begins with `what`."""
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
    except ValueError as error:  # numbers and addresses in the server's answer that are none
        raise LlamaChatError(f"{what}: the server's answer is invalid ({str(error)[:80]})") from error


def _fetch_file(url: str, folder: Path, progress: Progress) -> tuple[Path, bool]:
    """The file in `folder`, and whether it is new there."""
    name = file_name(unquote(urlsplit(url).path), url)
    target = folder / name
    with storing(target), partial(target, url) as part:
        answer = _open(url, *part.begun)
        with answer.body:
            if target.exists():  # looked at under the lock: another process may have just finished
                return _already_there(target, answer), False
            _receive(answer, part, lambda done: progress(done, answer.version.total, f"downloading {name}"))
        part.finish(target)
        return target, True


def _already_there(target: Path, answer: _Answer) -> Path:
    size = target.stat().st_size
    if answer.version.total in (None, size):
        return target
    raise LlamaChatError(f"{target}: a file of this name but another size is already there; move it away first")


def _open(url: str, start: int, begun: Version) -> _Answer:
    """Asks for the file, or for the rest of it from byte `start` on if the server still has the version begun."""
    headers = {"User-Agent": f"llamachat/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": begun.tag}
    opener = urllib.request.build_opener(_EncryptedRedirects)
    try:
        with _network(url):
            body = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except _RangeRefused:
        if not start:
            raise
        return _open(url, 0, Version())
    try:
        sent, version = _sent(body, url)
    except LlamaChatError:
        body.close()
        raise
    if sent == 0 or (sent == start and version.continues(begun)):
        return _Answer(body, sent, version)
    body.close()
    if not start:
        raise LlamaChatError(f"{url}: the server sends another part of the file than it was asked for")
    return _open(url, 0, Version())


def _sent(body: http.client.HTTPResponse, url: str) -> tuple[int, Version]:
    """Where the body begins, -1 where that is not clear, and the version that it is of."""
    if body.status == 206:
        found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})", body.headers.get("Content-Range", ""))
        start, total = (int(found[1]), int(found[2])) if found else (-1, None)
        return (start if total is None or start < total else -1), _version(body.headers, total)
    length = body.headers.get("Content-Length")
    if length is not None and not re.fullmatch(r"[0-9]{1,18}", length.strip()):
        raise LlamaChatError(f"{url}: the server's Content-Length is no number: {length.strip()[:40]!r}")
    return 0, _version(body.headers, None if length is None else int(length))


def _version(headers: http.client.HTTPMessage, total: int | None) -> Version:
    """What If-Range may name: a strong ETag, else the date of the last change."""
    etag = headers.get("ETag", "")
    return Version.of(etag if etag.startswith('"') else headers.get("Last-Modified", ""), total)


def _receive(answer: _Answer, part: Partial, report: Callable[[int], None]) -> None:
    """Writes the body behind what is there, to the end, and checks the length."""
    done, total = answer.start, answer.version.total
    part.begin(done, answer.version)
    if total is not None:
        check_free(part.path.parent, total - done)
    for chunk in _chunks(answer.body):
        if done == 0 and not chunk.startswith(MAGIC):
            raise ModelFileError("what the server sends is not a GGUF file", answer.body.url)
        part.file.write(chunk)
        report(done := done + len(chunk))
    if done == 0:
        raise ModelFileError("the server sends an empty file", answer.body.url)
    if total is not None and done > total:
        raise LlamaChatError(f"{answer.body.url}: the server sends more than the {total} bytes that it said")
    if total is not None and done < total:
        then = "continues from there" if answer.version.tag else "begins again"
        raise LlamaChatError(f"{answer.body.url}: the connection ended early; the same command {then}")


def _chunks(body: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _network(body.url):
            chunk = body.read(CHUNK)
        if not chunk:
            return
        yield chunk


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
