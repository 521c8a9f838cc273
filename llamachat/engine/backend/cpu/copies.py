"""Packed weights from a copy on disk, and into one (`engine/kept.py`): mapped as they are, once their sums are right.

Packed weights are the same on every instruction set and for every number of threads, and so are their copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler, source_stamp
from llamachat.engine.backend.cpu.kernels.checksum import LANES, Checksum
from llamachat.engine.backend.cpu.program import Launch, build
from llamachat.engine.backend.cpu.waiting import run_patiently
from llamachat.engine.backend.cpu.workers import WorkerPool
from llamachat.engine.gguf import GgufFile
from llamachat.engine.gguf.stamp import stamp
from llamachat.engine.kept import CHUNK, Store, Unusable

WORTH_S = 0.3
"""Packing that takes less is not worth a copy."""


class PackedCopy:
    """The copy of one model's packed weights. note: gets sentences for a person."""

    def __init__(self, store: Store, compiler: Compiler, pool: WorkerPool, note: Callable[[str], None]) -> None:
        self._store, self._compiler, self._pool, self._note = store, compiler, pool, note
        self._key = self._model = self._source = ""
        self._tiles: Buffer | None = None

    def open(
        self, file: GgufFile, layout: Sequence[object], n_bytes: int, meanwhile: Callable[[], None] = lambda: None
    ) -> Buffer | None:
        """The packed bytes, checked, if there is a copy of this file in this layout; read-only memory.

        layout: what of the weights lies where, with a complete `repr`. meanwhile: called while it is checked.
        """
        self._source = stamp(file)
        said = f"{self._source} {source_stamp()} {n_bytes} {layout!r}"
        self._key, self._model = hashlib.sha256(said.encode()).hexdigest()[:40], file.path.name
        try:
            return self._opened(n_bytes, meanwhile)
        except (Unusable, OSError) as error:
            self._note(f"{error}: the weights are packed again")
            self._store.discard(self._key)
            return None

    def _opened(self, n_bytes: int, meanwhile: Callable[[], None]) -> Buffer | None:
        opened = self._store.open(self._key)
        if opened is None:
            return None
        with opened.file:
            if opened.n_bytes != n_bytes:
                raise Unusable(f"{opened.file.name} is no whole copy of packed weights")
            tiles = Buffer.of_file(opened.file.fileno(), n_bytes)
        if self._checksum(tiles, meanwhile) != opened.checksum:
            raise Unusable(f"{opened.file.name} is damaged")
        return tiles

    def offer(self, tiles: Buffer, seconds: float) -> None:
        """What `keep` shall write: weights that took so long to pack, or nothing."""
        if seconds >= WORTH_S:
            self._tiles = tiles

    def keep(self) -> None:
        """Writes the copy, if there is something to write; what hinders that is said."""
        tiles, self._tiles = self._tiles, None
        if tiles is None:
            return
        try:
            self._store.check_room(tiles.n_bytes)
            self._note("the packed weights are kept on disk for the next start ...")
            self._store.save(self._key, self._model, tiles.bytes.data, self._checksum(tiles), self._source)
        except Unusable as error:
            self._note(str(error))

    def _checksum(self, tiles: Buffer, meanwhile: Callable[[], None] = lambda: None) -> str:
        chunks = tiles.n_bytes // CHUNK
        sums = Buffer(4 * LANES * chunks)
        arguments = {"source": tiles.address, "chunks": chunks, "sums": sums.address}
        program = build([Launch(Checksum(CHUNK), dict(arguments))], self._compiler)
        run_patiently(self._pool, program, meanwhile)
        return hashlib.sha256(sums.bytes.data).hexdigest()
