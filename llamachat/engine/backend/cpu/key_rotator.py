"""The K-shift: cached keys are read, rotated to their new positions and stored in other cells.

A key in the cache has been rotated by its position already. Rotating it again by the difference of two positions moves
it, because rotations add up (Su et al. 2021, arXiv 2104.09864); keys of a layer without rope are only moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cache import CacheLayout, key_values
from llamachat.engine.backend.cpu.engine import BATCH, Engine
from llamachat.engine.backend.cpu.jit.kernel import ROW, ROW_BYTES
from llamachat.engine.backend.cpu.kernels.cache import LoadKeys, StoreKeys
from llamachat.engine.backend.cpu.kernels.cache_formats import CHUNK
from llamachat.engine.backend.cpu.kernels.rope import Rope
from llamachat.engine.backend.cpu.program import Arguments, Launch, Program, Region, build
from llamachat.engine.backend.cpu.tables import differences as rotations
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.graph import RopeSpec
from llamachat.engine.state.spec import KeyValueSpec


class KeyRotator:
    """Moves and rotates the keys of all layers, for the caches of one layout."""

    def __init__(self, engine: Engine, layout: CacheLayout) -> None:
        self._engine, self._layout = engine, layout
        states = key_values(layout.states)
        # In a ring a target may be the cell of a later source: all of them are read before any is stored.
        most = max(BATCH, layout.n_ring_chunks * CHUNK)
        self._rows = Buffer(ROW_BYTES * most)
        # A table of differences: one row for each token of a step. YaRN's magnitude is in the keys already.
        self._tables = {spec: Buffer(4 * spec.n_rot * most) for spec in map(self._rotation, states) if spec is not None}
        self._full = self._program([state for state in states if not layout.layers[state.layer].ring], BATCH)
        self._rings = self._program([state for state in states if layout.layers[state.layer].ring], most)

    def rotate(
        self, cache: int, sources: np.ndarray, targets: np.ndarray, differences: np.ndarray, n_lost: int
    ) -> None:
        """Keys of the cells `sources` go to the cells `targets`, rotated by `differences` positions; all int64 [n].

        cache: the address of the first cell. Both rise, and targets[i] <= sources[i]: no key is overwritten before it
        is read. Of the first n_lost cells nothing is kept in rings.
        """
        for start in range(0, len(sources), BATCH):
            some = slice(start, start + BATCH)
            self._rotate(self._full, cache, sources[some], targets[some], differences[some])
        kept = sources >= n_lost
        self._rotate(self._rings, cache, sources[kept], targets[kept], differences[kept])

    def _rotate(
        self, program: Program, cache: int, sources: np.ndarray, targets: np.ndarray, differences: np.ndarray
    ) -> None:
        n = len(sources)
        if not n or not program.n_launches:
            return
        rows = self._rows.view(np.int64, (n, len(ROW)))
        for i, values in enumerate((cache, targets, np.arange(n), sources)):
            rows[:, i] = values
        for spec, table in self._tables.items():
            table.view(np.float32, (n, spec.n_rot))[:] = rotations(spec, self._engine.weights.values, differences)
        step = Step()
        step.set(n_tokens=n, rows=self._rows.address)
        self._engine.pool.run(program.address, program.n_launches, step)

    def _program(self, states: Sequence[KeyValueSpec], most: int) -> Program:
        """For these layers, and at most this many keys at once."""
        return build([launch for state in states for launch in self._launches(state, most)], self._engine.compiler)

    def _launches(self, state: KeyValueSpec, most: int) -> Sequence[Launch]:
        shape, place = self._layout.shape, self._layout.layers[state.layer]
        stride = 4 * state.n_head * state.key_dim
        x = Region(stride * most)
        cached: Arguments = {"x": x, "at": place.keys, "stride": stride, **place.place}
        cached["cache"] = Region(0, no_address=True)
        launches = [Launch(LoadKeys(state.key_dim, shape.type_k), cached)]
        spec = self._rotation(state)
        if spec is not None:
            rotated: Arguments = {"x": x, "table": self._tables[spec].address, "heads": state.n_head}
            kernel = Rope(state.key_dim, spec.n_rot, spec.order)
            launches.append(Launch(kernel, {**rotated, "stride": stride}))
        return [*launches, Launch(StoreKeys(state.key_dim, shape.type_k), cached)]

    def _rotation(self, state: KeyValueSpec) -> RopeSpec | None:
        if state.rotation is None:
            return None
        assert isinstance(state.rotation, RopeSpec)
        return state.rotation.in_context(self._layout.shape.n_ctx)
