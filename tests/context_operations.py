"""What can be done with a context, compared with evaluating anew, and the table of which architecture can do what.

Each operation is to the bit as evaluating the same tokens anew, or refused with the reason, and then nothing is lost.
`python tools/make_context_docs.py` writes the table into docs/architecture.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from golden_models import DECODERS, nmse

from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.context import Context
from llamachat.engine.events import Token
from llamachat.engine.generate import GenerationOptions, Speculation, generate
from llamachat.engine.gguf import write_gguf
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request, Scheduler
from llamachat.session.prompt_cache import open_prompt_cache, write_prompt_cache
from llamachat.session.snapshots import Snapshots

TOKENS = [int(token) for token in np.random.default_rng(1).integers(1, 64, 2330)]
LENGTH = 330
"""More than a chunk of 256 cells, and than the windows of the golden models."""

BORDER, PLACE = 270, 290
"""Where a checkpoint is made, as after a prompt; and where nothing is kept."""

LIKE = 1e-5
"""NMSE of a shift in one layer with an f16 cache: its keys are rotated twice and rounded twice."""


@dataclass(frozen=True)
class Row:
    """Models that can do the same things.

    refused: {operation: the words of the refusal}. inexact: operations after which the context says that its tokens are
    not as if evaluated anew. n_more: how much longer than `LENGTH` the text is.
    """

    name: str
    models: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    inexact: frozenset[str] = frozenset()
    self_extend: tuple[int, int] | None = None
    n_more: int = 0

    @property
    def n_ctx(self) -> int:
        """Tokens that its contexts hold."""
        return LENGTH + self.n_more + 70


@dataclass
class Bench:
    """A model, a folder, and a row of the table. last: the context that an operation is about."""

    model: Model
    folder: Path
    row: Row
    last: Context = field(init=False)

    @property
    def tokens(self) -> list[int]:
        """The text of the row."""
        return TOKENS[: LENGTH + self.row.n_more]

    @property
    def start(self) -> list[int]:
        """All of it but the last tokens."""
        return self.tokens[:-30]

    def context(self) -> Context:
        """An empty one, which becomes the last."""
        self.last = self.other()
        return self.last

    def other(self) -> Context:
        """An empty one beside the last."""
        return self.model.context(self.row.n_ctx, self_extend=self.row.self_extend)

    def filled(self, tokens: Sequence[int]) -> Context:
        """One with tokens evaluated, and a checkpoint at the border."""
        context = self.context()
        context.eval(tokens[:BORDER])
        context.checkpoint()
        if len(tokens) > BORDER:
            context.eval(tokens[BORDER:])
        return context

    def anew(self, tokens: Sequence[int]) -> np.ndarray:
        """All logits of tokens, float32 [n_tokens, n_vocab]."""
        return self.other().eval(tokens, "all")

    def same(self, context: Context, tokens: Sequence[int]) -> None:
        """Asserts that the context's tokens are the first of these, and that it evaluates the others as anew."""
        n_past = context.n_past
        assert 0 <= n_past < len(tokens)
        assert context.tokens == list(tokens[:n_past])
        np.testing.assert_array_equal(context.eval(tokens[n_past:], "all"), self.anew(tokens)[n_past:])


def split(bench: Bench) -> None:
    """Tokens evaluated in pieces of all sizes."""
    context, cuts = bench.context(), (1, 7, 33, 1, 215, 2, 30, *[512] * (bench.row.n_more // 512))
    rows = [context.eval(bench.tokens[context.n_past : context.n_past + n], "all") for n in cuts]
    np.testing.assert_array_equal(np.concatenate(rows), bench.anew(bench.tokens[: sum(cuts)]))


def fork(bench: Bench) -> None:
    """Two continuations of one text, in two contexts."""
    context = bench.filled(bench.start)
    one = context.fork()
    bench.same(context, [*bench.start, 1, 2, 3])
    bench.same(one, bench.tokens)


def rewind(bench: Bench) -> None:
    """To a place, or to the nearest one before it, as /regen and /undo do; what follows is evaluated again."""
    context = bench.filled(bench.tokens)
    context.rewind(PLACE)
    bench.same(context, [*bench.tokens[:PLACE], 5, 6, 7])


def truncate(bench: Bench) -> None:
    """To any place."""
    context = bench.filled(bench.tokens)
    context.truncate(PLACE)
    if context.n_reusable < PLACE:
        raise NotAsAnew
    bench.same(context, [*bench.tokens[:PLACE], 5, 6, 7])


def shift(bench: Bench) -> None:
    """Tokens removed from the middle; `n_reusable` tokens stay equal to the bit, the others within one layer nearly."""
    context, left = bench.filled(bench.tokens), [*bench.tokens[:8], *bench.tokens[100:]]
    context.remove(8, 100)
    assert context.tokens == left
    assert context.n_reusable == 8
    context.rewind(8)
    bench.same(context, left)
    with Model(first_layer(bench.model, bench.folder / "shallow.gguf"), 1) as shallow:
        shifted, fresh = shallow.context(bench.row.n_ctx), shallow.context(bench.row.n_ctx)
        shifted.eval(bench.tokens)
        shifted.remove(8, 100)
        fresh.eval(left)
        assert nmse(shifted.eval([5, 6, 7], "all"), fresh.eval([5, 6, 7], "all")) <= LIKE


def first_layer(model: Model, path: Path) -> Path:
    """The model's first layer alone: its keys know nothing of the tokens before theirs, as shifted ones do."""
    metadata, n_layer = dict(model.file.metadata.items()), model.spec.params.n_layer
    prefix = f"{metadata['general.architecture']}."
    for key, value in metadata.items():
        if key.startswith(prefix) and np.shape(value) == (n_layer,):
            metadata[key] = value[:1]
    metadata[f"{prefix}block_count"] = 1
    # What only several layers can have.
    left = {f"{prefix}attention.shared_kv_layers", f"{prefix}embedding_length_per_layer_input"}
    metadata |= dict.fromkeys(left & metadata.keys(), 0)
    names = re.compile(r"(?!blk|per_layer)|blk\.0\.(?!inp_gate|proj|post_norm)")
    tensors = [one for one in model.file.tensors.values() if names.match(one.name)]
    write_gguf(path, metadata, [(one.name, one.type.name, one.shape, np.asarray(one.data)) for one in tensors])
    return path


def prefix(bench: Bench) -> None:
    """A prefix copied from another sequence, as the pool does for prompts with a common prefix."""
    source, context = bench.filled(bench.tokens), bench.context()
    context.copy_prefix(source, PLACE)
    bench.same(context, [*bench.tokens[:PLACE], 5, 6])


def batch(bench: Bench) -> None:
    """One step with sequences of other lengths."""
    texts, added = [bench.start, *(bench.tokens[:n] for n in (3, 260, 41))], [11, 12, 13, 14]
    contexts = [bench.filled(text) for text in texts]
    rows = BatchDecoder().eval(contexts, [[token] for token in added])
    for text, token, row, context in zip(texts, added, rows, contexts, strict=True):
        np.testing.assert_array_equal(row, bench.anew([*text, token])[-1])
        bench.same(context, [*text, token, 9])


class NotAsAnew(Exception):
    """The context says that its tokens are not as if evaluated anew: `n_reusable` is smaller."""


class Numbers:
    """A vocabulary whose tokens print something that ends no answer."""

    n_vocab, eog, add_bos = 64, frozenset[int](), False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return b"."

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


class HalfRight:
    """Draft tokens of which the first is right and the others are not."""

    def __init__(self, text: Sequence[int]) -> None:
        self._text = text

    def propose(self, tokens: Sequence[int], most: int) -> list[int]:
        right = self._text[len(tokens) : len(tokens) + 1]
        return [*right, 0, 1][:most] if right else []


def options(seed: int = 7) -> GenerationOptions:
    """A dozen tokens, sampled."""
    return GenerationOptions(max_tokens=12, sampling=SamplingOptions(temp=1.0, seed=seed))


def answer(context: Context, prompt: Sequence[int], seed: int = 7, drafts: Speculation | None = None) -> list[int]:
    """Token ids of an answer."""
    events = generate(context, Numbers(), prompt, options(seed), None, drafts)
    return [event.id for event in events if isinstance(event, Token)]


def speculate(bench: Bench) -> None:
    """Speculative decoding: rejected draft tokens leave nothing behind."""
    prompt = bench.start
    wanted, context = answer(bench.other(), prompt), bench.context()
    found = answer(context, prompt, drafts=Speculation(HalfRight([*prompt, *wanted])))
    assert found == wanted
    assert len(set(wanted)) > 3
    bench.same(context, [*prompt, *wanted, 3])


def scheduler(bench: Bench) -> None:
    """Requests with a common prefix that arrive while others run; prefill in pieces."""
    prompts = [bench.start, [*bench.start[:-10], 5, 6], [8, 9, 10], [*bench.start, 4]]
    wanted = [answer(bench.other(), prompt, seed) for seed, prompt in enumerate(prompts)]
    running = Scheduler(ContextPool(bench.context, 3), Numbers(), piece=100)
    found: dict[Job, list[int]] = {}

    def step() -> None:
        for job, event in running.step():
            if isinstance(event, Token):
                found[job].append(event.id)

    for seed, prompt in enumerate(prompts):
        found[running.add(Request(prompt, options(seed)))] = []
        for _ in range(6):
            step()
    while not running.idle:
        step()
    assert list(found.values()) == wanted


def settings(bench: Bench, context: Context) -> dict[str, str]:
    """What a kept cache must be of."""
    return {"model": str(bench.model.file.path), "cache_layout": context.layout}


def snapshot(bench: Bench) -> None:
    """The state of a chat, saved to disk and restored."""
    context = bench.filled(bench.start)
    of, kept = settings(bench, context), Snapshots(bench.folder / "snapshots", 10**9)
    assert kept.keep(1, context.tokens, context.memory(context.n_past), of)
    found, again = kept.open(1, of), bench.other()
    assert found is not None
    again.restore(found.tokens, found.fill)
    bench.same(again, bench.tokens)


def prompt_cache(bench: Bench) -> None:
    """The same in a file that the user names, for a text that was shortened since."""
    context, path = bench.filled(bench.start), bench.folder / "kept"
    write_prompt_cache(path, bench.tokens[:PLACE], context.memory(PLACE), settings(bench, context))
    found, again = open_prompt_cache(path, settings(bench, context)), bench.other()
    again.restore(found.tokens, found.fill)
    bench.same(again, bench.tokens)


Operation = Callable[[Bench], None]

OPERATIONS: dict[str, Operation] = {
    "split": split,
    "fork": fork,
    "rewind": rewind,
    "truncate": truncate,
    "shift": shift,
    "prefix": prefix,
    "batch": batch,
    "scheduler": scheduler,
    "speculate": speculate,
    "snapshot": snapshot,
    "prompt cache": prompt_cache,
}


RECURRENT = ("mamba", "mamba-falcon", "mamba2", "jamba", "falcon-h1", "lfm2", "qwen35", "rwkv6", "rwkv7")
"""Golden models some of whose layers keep a state of fixed size."""

FIXED = ("gpt2", "gpt2-untied", "hunyuan-dense", "starcoder")
"""Golden models whose keys contain positions that no rotation takes out."""

MOVABLE = tuple(name for name in DECODERS if name not in (*RECURRENT, *FIXED))


def known(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the golden models that are here and that the engine knows."""
    return tuple(name for name in names if name in DECODERS)


ROWS = (
    Row("keys and values", MOVABLE),
    Row(
        "windows, a text longer than their rings",
        known(("gemma3", "gemma4", "gpt-oss")),
        {
            "truncate": "the model's state after them is not kept",
            "prefix": "cannot be taken over from another context",
            "prompt cache": "the model's state is that after",
        },
        n_more=2000,
    ),
    Row(
        "positions within keys",
        known(FIXED),
        {"shift": "its keys and values contain positions that no rotation can change"},
    ),
    Row(
        "recurrent state",
        ("leaky", *known(RECURRENT)),
        {
            "truncate": "the model's state after them is not kept",
            "shift": "its state cannot be moved",
            "prefix": "cannot be taken over from another context",
            "prompt cache": "the model's state is that after",
        },
    ),
    Row(
        "any, with Self-Extend",
        ("llama", "gemma3"),
        {
            "shift": "grouped positions (Self-Extend) cannot be shifted",
            "prefix": "cannot be taken over from another context",
            "snapshot": "grouped positions (Self-Extend) cannot be kept",
            "prompt cache": "grouped positions (Self-Extend) cannot be kept",
        },
        frozenset({"truncate"}),
        (4, 64),
    ),
)


def table() -> str:
    """The table in Markdown: what each operation is, and what becomes of it."""
    lines = [f"| operation | {' | '.join(row.name for row in ROWS)} |", "| --- |" + " --- |" * len(ROWS)]
    for name, operation in OPERATIONS.items():
        meaning = (operation.__doc__ or "").rstrip(".")
        cells = (cell(row, name) for row in ROWS)
        lines.append(f"| **{name}**: {meaning[0].lower()}{meaning[1:]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(row: Row, operation: str) -> str:
    """What becomes of an operation."""
    if operation in row.inexact:
        return "done; `n_reusable` becomes 0"
    return f'refused: "{row.refused[operation]}"' if operation in row.refused else "equal"
