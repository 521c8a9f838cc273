"""A web server of our own on 127.0.0.1, the only place where http without encryption is allowed."""

import http.client
import io
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_gguf import tiny_bytes

from llamachat.catalog import web
from llamachat.catalog.storage import no_progress
from llamachat.catalog.web import fetch_from_web
from llamachat.errors import LlamaChatError, ModelFileError, UsageError

CONTENT = tiny_bytes(n_rows=100_000)


@dataclass
class Site:
    """What the server has and does: files by path, their version, after how many bytes it hangs up."""

    files: dict[str, bytes] = field(default_factory=lambda: {"/dir/tiny.gguf": CONTENT})
    etag: str = '"v1"'
    hangs_up_after: int | None = None
    always_sends: str = ""
    says_length: bool = True
    redirect: str = ""
    ranges: list[str | None] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, site)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up early is part of these tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, site: Site) -> None:
    wanted = request.headers.get("Range")
    site.ranges.append(wanted)
    if site.redirect:
        request.send_response(302)
        request.send_header("Location", site.redirect)
        request.end_headers()
        return
    content = site.files.get(request.path.split("?")[0])
    if content is None:
        request.send_error(404)
        return
    if site.always_sends:
        request.send_response(206)
        request.send_header("Content-Range", site.always_sends)
        request.end_headers()
        return
    start = 0
    found = re.fullmatch(r"bytes=(\d+)-", wanted or "")
    if found and request.headers.get("If-Range") == site.etag:
        start = int(found[1])
        if start >= len(content):
            request.send_error(416)
            return
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        request.send_response(200)
    if site.says_length:
        request.send_header("Content-Length", str(len(content) - start))
    if site.etag:
        request.send_header("ETag", site.etag)
    request.end_headers()
    request.wfile.write(content[start : site.hangs_up_after])


def _broken_off(site: Site, folder: Path) -> None:
    """A first attempt that ends in the middle."""
    site.hangs_up_after = len(CONTENT) // 2
    with pytest.raises(LlamaChatError, match="the same command"):
        fetch_from_web(f"{site.address}/dir/tiny.gguf", folder, no_progress)
    site.hangs_up_after = None


def test_a_file_is_fetched_under_its_own_name_and_nothing_else_is_left(site: Site, tmp_path: Path) -> None:
    path = fetch_from_web(f"{site.address}/dir/tiny.gguf?download=true#x", tmp_path, no_progress)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.gguf"]


def test_progress_ends_at_the_file_s_size(site: Site, tmp_path: Path) -> None:
    seen = []
    fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, lambda *step: seen.append(step))
    assert seen[-1] == (len(CONTENT), len(CONTENT), "downloading tiny.gguf")


def test_a_server_that_does_not_say_how_long_the_file_is_is_believed(site: Site, tmp_path: Path) -> None:
    site.says_length = False
    assert fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress).read_bytes() == CONTENT


def test_a_download_that_broke_off_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    _broken_off(site, tmp_path)
    assert fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress).read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(site: Site, tmp_path: Path) -> None:
    _broken_off(site, tmp_path)
    site.etag, site.files["/dir/tiny.gguf"] = '"v2"', tiny_bytes(n_rows=60_000)
    path = fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)
    assert path.read_bytes() == site.files["/dir/tiny.gguf"]


def test_a_file_without_a_version_is_fetched_from_the_start(site: Site, tmp_path: Path) -> None:
    site.etag = ""
    _broken_off(site, tmp_path)
    fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)
    assert site.ranges == [None, None]


@pytest.mark.parametrize("extent", ["bytes 7-9/10", "bytes */10"])
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "new"])
def test_a_server_that_always_sends_another_part_is_given_up(
    extent: str, begun: bool, site: Site, tmp_path: Path
) -> None:
    if begun:
        _broken_off(site, tmp_path)
    site.always_sends = extent
    with pytest.raises(LlamaChatError, match="sends another part of the file"):
        fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)
    assert len(site.ranges) <= 3


@pytest.mark.parametrize(("etag", "then"), [('"v1"', "continues from there"), ("", "begins again")])
def test_going_on_is_promised_only_where_it_can_be_kept(etag: str, then: str, site: Site, tmp_path: Path) -> None:
    site.etag, site.hangs_up_after = etag, len(CONTENT) // 2
    with pytest.raises(LlamaChatError, match=f"the same command {then}"):
        fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)


def test_letters_beyond_ascii_in_an_address_are_encoded(site: Site, tmp_path: Path) -> None:
    site.files = {"/%C3%A9%20t/modell-%C3%A4.gguf": CONTENT}
    path = fetch_from_web(f"{site.address}/é%20t/modell-ä.gguf", tmp_path, no_progress)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["https://ex ample/x.gguf", "https://\udcff/x.gguf", f"https://{'é' * 80}.org/x.gguf"])
def test_an_address_that_cannot_be_encoded_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a web address"):
        fetch_from_web(url, tmp_path, no_progress)


@pytest.mark.parametrize(
    ("origin", "is_followed"),
    [pytest.param("https://example.org/x.gguf", False, id="from elsewhere"), ("http://localhost/x.gguf", True)],
)
def test_only_this_machine_sends_us_on_to_itself(origin: str, is_followed: bool) -> None:
    handler, headers = web._EncryptedRedirects(), http.client.HTTPMessage()
    with nullcontext() if is_followed else pytest.raises(LlamaChatError, match="an address of this machine"):
        handler.redirect_request(
            urllib.request.Request(origin), io.BytesIO(), 302, "", headers, "http://127.0.0.1:1/x.gguf"
        )


def test_a_range_that_the_server_refuses_is_given_up(site: Site, tmp_path: Path) -> None:
    _broken_off(site, tmp_path)
    site.files["/dir/tiny.gguf"] = tiny_bytes(n_rows=10)
    path = fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)
    assert path.read_bytes() == site.files["/dir/tiny.gguf"]


def test_a_file_that_is_here_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    url = f"{site.address}/dir/tiny.gguf"
    seen: list[object] = []
    assert fetch_from_web(url, tmp_path, no_progress) == fetch_from_web(url, tmp_path, lambda *step: seen.append(step))
    assert seen == []
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.gguf"]


def test_another_file_of_that_name_is_not_written_over(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"mine")
    with pytest.raises(LlamaChatError, match="another size is already there"):
        fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)
    assert (tmp_path / "tiny.gguf").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"<html>sign in</html>", "what the server sends is not a GGUF file", id="a web page"),
        pytest.param(b"", "the server sends an empty file", id="nothing"),
        pytest.param(CONTENT[:200], "tiny", id="a header that is cut off"),
    ],
)
def test_what_is_no_model_is_not_kept(content: bytes, reason: str, site: Site, tmp_path: Path) -> None:
    site.files["/dir/tiny.gguf"] = content
    with pytest.raises(ModelFileError, match=reason):
        fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)
    assert list(tmp_path.iterdir()) == []


def test_a_split_model_is_fetched_in_all_its_parts(site: Site, tmp_path: Path) -> None:
    names = [f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
    site.files = {f"/{name}": b"GGUF" + name.encode() for name in names}
    with pytest.raises(ModelFileError):  # these parts are no real ones
        fetch_from_web(f"{site.address}/{names[1]}", tmp_path, no_progress)
    assert len(site.ranges) == 2


def test_a_name_from_an_address_never_leaves_the_folder(site: Site, tmp_path: Path) -> None:
    site.files = {"/%2e%2e%2f%2e%2e%2fevil%1b.gguf": CONTENT}
    path = fetch_from_web(f"{site.address}/%2e%2e%2f%2e%2e%2fevil%1b.gguf", tmp_path, no_progress)
    assert path == tmp_path / "evil_.gguf"


def test_a_missing_file_is_said_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(LlamaChatError, match=r"no such file there \(404\)"):
        fetch_from_web(f"{site.address}/none.gguf", tmp_path, no_progress)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_an_address_without_encryption_is_refused(site: Site, tmp_path: Path) -> None:
    site.redirect = "http://example.org/tiny.gguf"
    with pytest.raises(LlamaChatError, match=r"redirects to .*not encrypted"):
        fetch_from_web(f"{site.address}/dir/tiny.gguf", tmp_path, no_progress)


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(LlamaChatError, match=r"http://127\.0\.0\.1:1/x\.gguf: cannot be reached"):
        fetch_from_web("http://127.0.0.1:1/x.gguf", tmp_path, no_progress)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("http://example.org/x.gguf", "not encrypted; use https", id="http"),
        pytest.param("ftp://example.org/x.gguf", "not a web address", id="another scheme"),
        pytest.param("file:///etc/x.gguf", "not a web address", id="a local file"),
        pytest.param("https:///x.gguf", "not a web address", id="no host"),
        pytest.param("https://example.org:port/x.gguf", "not a web address", id="a port that is no number"),
        pytest.param("https://[::1/x.gguf", "not a web address", id="a bracket left open"),
        pytest.param("https://example.org/a b.gguf", "not a web address", id="a space"),
        pytest.param("https://me:secret@example.org/x.gguf", "with a name or password", id="a password"),
        pytest.param("https://example.org/x.bin", "does not name a .gguf file", id="no GGUF name"),
        pytest.param("https://example.org/", "does not name a .gguf file", id="no name"),
    ],
)
def test_an_address_that_cannot_be_one_of_a_model_is_refused(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason) as refusal:
        fetch_from_web(url, tmp_path, no_progress)
    assert "secret" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []
