"""A backend that is defined here alone, in NumPy on the float64 reference, under everything that uses backends.

No file of the package knows of it. It keeps keys and values in float32, whatever type is asked for, and computes each
sequence of a batch on its own.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from golden_models import nmse

from llamachat.engine import graph as g
from llamachat.engine.backend.choose import BACKENDS, choose
from llamachat.engine.backend.interface import Detail, LayerSize, Limits, Settings, Sizes, StateSizes
from llamachat.engine.batch import EMBEDDED, Batch, Outputs, Wanted
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.context import Context
from llamachat.engine.generate import GenerationOptions, Speculation, Token, generate
from llamachat.engine.gguf import TensorInfo
from llamachat.engine.measure import Work
from llamachat.engine.model import Model
from llamachat.engine.parallel import Batch as Requests
from llamachat.engine.parallel import Request
from llamachat.engine.plan import Plan
from llamachat.engine.positions import rope_angles
from llamachat.engine.quants.tensors import decode, format_of
from llamachat.engine.reference import Evaluation, value
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.speculation.lookup import Lookup
from llamachat.engine.state.spec import KeyValueSpec
from llamachat.errors import Cancelled, Unsupported, UsageError
from llamachat.session.prompt_cache import open_prompt_cache, write_prompt_cache

MOST = 32  # rows of a batch, so that prompts are cut


class ArrayState:
    """Keys and values of all layers, float32 [n_ctx, width], a row for each cell."""

    def __init__(self, model: "ArrayModel", n_ctx: int) -> None:
        self.model, self.cells = model, np.zeros((n_ctx, model.state_width), np.float32)

    @property
    def n_bytes(self) -> int:
        return self.cells.nbytes

    def used_bytes(self, n_cells: int) -> int:
        return self.cells[:n_cells].nbytes

    def copy(self, source: "ArrayState", n_cells: int) -> None:
        self.cells[:n_cells] = source.cells[:n_cells]

    def remove(self, first: int, last: int, n_cells: int, n_lost: int) -> None:
        n = n_cells - last
        self.cells[first : first + n] = self.cells[last:n_cells].copy()
        self._rotate(slice(first, first + n), np.full(n, first - last))

    def rotate(self, differences: np.ndarray, n_lost: int) -> None:
        self._rotate(slice(0, len(differences)), differences)

    def _rotate(self, cells: slice, differences: np.ndarray) -> None:
        for node in self.model.attentions:
            if node.rotation is not None:
                keys = self.cells[cells, self.model.places[node][0]]
                keys[:] = self.model.rotated(keys, node.rotation, node.head_dim, differences)

    def snapshot(self, n_cells: int) -> np.ndarray:
        return self.cells[:n_cells].copy().view(np.uint8).ravel()

    def restore(self, n_cells: int, fill: Callable[[np.ndarray], None]) -> None:
        room = np.empty(self.used_bytes(n_cells), np.uint8)
        fill(room)
        self.cells[:n_cells] = room.view(np.float32).reshape(n_cells, -1)

    def recurrent(self) -> np.ndarray:
        return np.empty(0, np.uint8)

    def set_recurrent(self, states: np.ndarray | None) -> None:
        raise AssertionError("there are none")

    def release(self) -> None:
        self.cells[:] = np.nan  # whoever reads it now is wrong


class ArrayForward:
    """Every node by its meaning in the reference, but for rows in the middle of a sequence."""

    layout = "float32 cells, layer by layer"
    limits = Limits(MOST, 3, MOST)
    ring = None

    def __init__(self, model: "ArrayModel", n_ctx: int, types: tuple[str, str]) -> None:
        self.model, self.n_ctx, self.cache_types = model, n_ctx, types

    def parts(self, n_cells: int) -> list[tuple[int, str]]:
        return [(4 * self.model.state_width, "f32")]

    def new_state(self) -> ArrayState:
        return ArrayState(self.model, self.n_ctx)

    def run(self, batch: Batch, outputs: Outputs, cancellation: Cancellation) -> None:
        plan = self.model.plan
        states = [*batch.states] * (len(batch.ids) if len(batch.states) == 1 else 1)
        logits, hidden = np.empty((2, len(batch.ids)), object)
        with cancellation.running:
            for state in dict.fromkeys(states):
                rows = [i for i, owner in enumerate(states) if owner is state]
                cancellation.check()
                values = self.model.evaluate(batch, rows, state)
                logits[rows], hidden[rows] = ([*values[node]] for node in (plan.nodes[-1], plan.hidden))
            cancellation.check()
        wanted = np.zeros(len(batch.ids), np.uint8)
        wanted[len(wanted) - batch.n_outputs :] = batch.wanted
        for what, found, out in ((Wanted.LOGITS, logits, outputs.logits), (Wanted.HIDDEN, hidden, outputs.hidden)):
            if (wanted & what).any():
                out[:] = np.stack(found[(wanted & what) != 0])


class ArrayModel:
    """The weights as float64."""

    def __init__(self, tensors: dict[str, np.ndarray], plan: Plan) -> None:
        self.plan, self.tensors, self._forwards = plan, tensors, {}
        self.attentions = [node for node in plan.nodes if isinstance(node, g.Attention)]
        self.places: dict[g.Attention, tuple[slice, slice]] = {}
        self.state_width = 0
        for node in self.attentions:
            begin, middle = self.state_width, self.state_width + node.k.width
            self.state_width = middle + node.v.width
            self.places[node] = slice(begin, middle), slice(middle, self.state_width)

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def keep(self) -> None:
        """Nothing."""

    def forward(self, n_ctx: int, type_k: str, type_v: str) -> ArrayForward:
        return self._forwards.setdefault((n_ctx, type_k, type_v), ArrayForward(self, n_ctx, (type_k, type_v)))

    def evaluate(self, batch: Batch, rows: list[int], state: ArrayState) -> dict[g.Node, np.ndarray]:
        """The values of all nodes for some rows of one sequence."""
        ids, positions, cells = batch.ids[rows], batch.positions[rows], batch.cells[rows]
        now = Evaluation(self.tensors.__getitem__, np.maximum(ids, 0).astype(np.int64))
        for node in self.plan.nodes:
            if isinstance(node, g.Rope):
                now.values[node] = self.rotated(now.values[node.x], node.spec, node.head_dim, positions, True)
            elif isinstance(node, g.Attention):
                now.values[node] = self._attention(node, now, cells, state)
            else:
                now.values[node] = value(node, now)
            if node is self.plan.embedding and batch.embeddings is not None:
                given = ids == EMBEDDED
                now.values[node][given] = batch.embeddings[rows][given]
        return now.values

    def _attention(self, node: g.Attention, now: Evaluation, cells: np.ndarray, state: ArrayState) -> np.ndarray:
        """The reference's, over all cells up to the last one."""
        n, (keys, values) = int(cells[-1]) + 1, self.places[node]
        state.cells[cells, keys], state.cells[cells, values] = now.values[node.k], now.values[node.v]
        q = np.zeros((n, node.q.width))
        q[cells] = now.values[node.q]
        whole = Evaluation(now.load, np.zeros(n, np.int64), {node.q: q})
        whole.values[node.k], whole.values[node.v] = (state.cells[:n, place].astype(float) for place in (keys, values))
        return value(node, whole)[cells]

    def rotated(
        self, x: np.ndarray, spec: g.RopeSpec, head_dim: int, positions: np.ndarray, scaled: bool = False
    ) -> np.ndarray:
        """Heads of x rotated by positions; scaled: and times the magnitude, which keys in the cache have already."""
        factors = None if spec.factors is None else self.tensors[spec.factors.name]
        cos, sin = (z[:, None] / (1 if scaled else spec.magnitude) for z in rope_angles(spec, factors, positions))
        heads, half = x.reshape(len(x), -1, head_dim).astype(float), spec.n_rot // 2
        adjacent = spec.order == "adjacent"
        first = slice(0, spec.n_rot, 2) if adjacent else slice(0, half)
        second = slice(1, spec.n_rot, 2) if adjacent else slice(half, spec.n_rot)
        a, b = heads[..., first].copy(), heads[..., second].copy()
        heads[..., first], heads[..., second] = a * cos - b * sin, a * sin + b * cos
        return heads.reshape(x.shape)


class ArrayDevice:
    title, n_threads, reserved_addresses = "numpy", 1, 0

    def sizes(self, nodes: Sequence[g.Node], tensors: dict) -> Sizes:
        uses = g.uses(nodes, *g.Role)
        for use in uses:
            format_of(tensors[use.tensor.name])
        if any(not isinstance(state, KeyValueSpec) for state in g.states(nodes)):
            raise Unsupported("numpy keeps keys and values, and no other state")
        return Sizes(8 * sum(int(np.prod(use.tensor.shape)) for use in uses), 1 << 20, 0)

    def load(self, file, plan: Plan, progress: Callable[[int, int], None]) -> ArrayModel:
        names = [use.tensor.name for use in g.uses(plan.nodes, *g.Role)]
        tensors = {name: decode(file.tensors[name]).reshape(file.tensors[name].shape).astype(float) for name in names}
        progress(1, 1)
        return ArrayModel(tensors, plan)

    def bandwidth_meter(self, n_bytes: int) -> Callable[[], float]:
        return lambda: 1e9

    def product_rate(self, kind: str) -> float:
        return 1e9

    def close(self) -> None: ...


class Arrays:
    """The backend."""

    def describe(self, settings: Settings) -> Iterator[Detail]:
        yield Detail("numpy", np.__version__, f"NumPy {np.__version__}")

    def state_sizes(self, states: Sequence[KeyValueSpec], type_k: str, type_v: str) -> StateSizes:
        return StateSizes(0, tuple(LayerSize(4 * one.n_head * (one.key_dim + one.value_dim)) for one in states))

    def stored_bytes(self, tensor: TensorInfo) -> int:
        return tensor.n_bytes

    def open(self, settings: Settings) -> ArrayDevice:
        return ArrayDevice()


class Numbers:
    """A token prints its number; none ends a text."""

    n_vocab, eog, add_bos = 80, frozenset[int](), False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return f"{token} ".encode()

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


@pytest.fixture(scope="module", params=["llama", "gemma3-27b"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def arrays(golden: Path, name: str) -> Iterator[Model]:
    BACKENDS["numpy"] = Arrays()
    with Model(golden / "archs" / f"{name}.gguf", cache_type="f32", backend="numpy") as model:
        yield model
    del BACKENDS["numpy"]


@pytest.fixture(scope="module")
def processor(golden: Path, name: str) -> Iterator[Model]:
    with Model(golden / "archs" / f"{name}.gguf", 2, cache_type="f32") as model:
        yield model


PROMPT = [int(t) for t in np.random.default_rng(5).integers(0, 80, 90)]
GREEDY = GenerationOptions(max_tokens=8, sampling=SamplingOptions(temp=0))


def test_logits_and_hidden_states_are_those_of_the_golden_files_and_of_the_processor(
    arrays: Model, processor: Model, golden: Path, name: str
) -> None:
    data = np.load(golden / "archs" / f"{name}.npz")
    wanted = data["logits_exact" if "logits_exact" in data else "logits"]
    context = arrays.context(64)
    got = [context.eval(data["tokens"][i:j].tolist(), "all") for i, j in ((0, 7), (7, 8), (8, 64))]
    assert nmse(np.concatenate(got), wanted) <= 1e-10
    hidden = [one.context(100).eval(PROMPT, "all", wanted="hidden") for one in (arrays, processor)]
    assert nmse(*hidden) <= 1e-8


def test_embeddings_are_taken(arrays: Model, processor: Model) -> None:
    vectors = np.random.default_rng(0).standard_normal((40, arrays.spec.params.n_embd)).astype(np.float32)
    found = [one.context(100).eval_embeddings(vectors, "all") for one in (arrays, processor)]
    assert nmse(*found) <= 1e-8


def test_a_context_can_be_truncated_forked_shifted_and_shared(arrays: Model, processor: Model) -> None:
    found = []
    for model in (arrays, processor):
        context, other = model.context(120), model.context(120)
        context.eval(PROMPT)
        context.truncate(60)
        fork = context.fork()
        context.remove(5, 25)
        other.copy_prefix(fork, 50)
        rows = [one.eval([7, 8, 9], "all") for one in (context, fork, other)]
        context.forget()
        rows.append(context.eval([7, 8, 9], "all"))
        found.append(np.concatenate(rows))
    assert nmse(*found) <= 1e-8


def test_positions_can_be_grouped(arrays: Model, processor: Model, name: str) -> None:
    if name != "llama":
        pytest.skip("the reference knows windows by cells alone")
    found = [model.context(120, self_extend=(4, 32)).eval(PROMPT) for model in (arrays, processor)]
    assert nmse(*found) <= 1e-8


def test_a_prompt_can_be_kept_in_a_file_and_taken_back(arrays: Model, tmp_path: Path) -> None:
    context, other = arrays.context(120), arrays.context(120)
    wanted = context.eval(PROMPT)
    settings = {"cache_layout": context.layout}
    write_prompt_cache(tmp_path / "kept", context.tokens[:70], context.memory(70), settings)
    kept = open_prompt_cache(tmp_path / "kept", settings, other.parts)
    other.restore(kept.tokens, kept.fill)
    assert nmse(other.eval(PROMPT[70:]), wanted) <= 1e-20


def test_an_evaluation_can_be_cancelled(arrays: Model) -> None:
    context = arrays.context(120)
    with pytest.raises(Cancelled, match=f"after {MOST} tokens"):
        context.eval(PROMPT, progress=lambda done, total: context.cancel())
    assert context.tokens == PROMPT[:MOST]
    context.cancel()
    context.resume()
    assert np.isfinite(context.eval(PROMPT[MOST:])).all()


def test_several_sequences_are_one_batch(arrays: Model) -> None:
    contexts = [arrays.context(120) for _ in range(4)]
    for n, context in enumerate(contexts, 1):
        context.eval(PROMPT[: 10 * n])
    wanted = [context.fork().eval([5, 6], "all")[i] for context in contexts for i in (0, 1)]
    assert nmse(BatchDecoder().eval(contexts, [[5, 6]] * 4), np.stack(wanted)) <= 1e-20


def answer(context: Context, prompt: list[int], speculation: Speculation | None = None) -> list[int]:
    events = generate(context, Numbers(), prompt, GREEDY, speculation=speculation)
    return [event.id for event in events if isinstance(event, Token)]


def test_answers_are_those_of_the_processor(arrays: Model, processor: Model) -> None:
    wanted = answer(processor.context(60), PROMPT[:40])
    assert answer(arrays.context(60), PROMPT[:40]) == wanted
    assert answer(arrays.context(60), PROMPT[:40], Speculation(Lookup(), 4)) == wanted
    assert len(wanted) == GREEDY.max_tokens


def test_requests_are_answered_side_by_side(arrays: Model) -> None:
    prompts = [PROMPT[:12], PROMPT[:13], PROMPT[10:20], PROMPT[5:40]]
    found: dict[int, list[int]] = {}
    for number, event in Requests(lambda: arrays.context(60), Numbers(), 3).answers(
        [Request(p, GREEDY) for p in prompts]
    ):
        if isinstance(event, Token):
            found.setdefault(number, []).append(event.id)
    assert [found[i] for i in range(4)] == [answer(arrays.context(60), prompt) for prompt in prompts]


def test_its_own_words_reach_who_measures_and_examines(arrays: Model) -> None:
    assert (arrays.device.title, arrays.device.n_threads) == ("numpy", 1)
    assert arrays.plan.weights == arrays._loaded.weight_bytes
    assert Work.of(arrays).state.per_token == 4 * arrays._loaded.state_width
    assert [detail.name for detail in choose("numpy").describe(Settings())] == ["numpy"]


def test_a_backend_that_is_not_there_is_refused(golden: Path) -> None:
    with pytest.raises(UsageError, match="unknown backend 'abacus': known are cpu"):
        Model(golden / "archs" / "llama.gguf", backend="abacus")
