"""A model that says what a test has written down, and the program run with it.

Tokens are bytes and a few control tokens. Each prompt is answered by the next of SCRIPTED_ANSWERS (a JSON list in the
environment); STUCK in an answer is a step that lasts until it is cancelled, at its beginning while the prompt is read.
SCRIPTED_LOAD_S: so long it is loaded, and says so.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace, TracebackType

import numpy as np

from llamachat.engine.adapters import NONE, Adapters, Opened
from llamachat.engine.overrides import NOTHING
from llamachat.errors import Cancelled, ContextFull
from llamachat.templates.named import builtin_template

STUCK = "\0"
BOS, EOS, IM_START, IM_END = range(256, 260)
NAMES = {BOS: "<s>", EOS: "</s>", IM_START: "<|im_start|>", IM_END: "<|im_end|>"}
N_VOCAB = 260


class ScriptedTokenizer:
    bos, eos, eot, add_bos, add_eos = BOS, EOS, IM_END, True, False
    eog = frozenset((EOS, IM_END))
    n_vocab = N_VOCAB
    special_texts = tuple(NAMES.values())
    notes: tuple[str, ...] = ()

    def encode(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        ids = [BOS] if add_special else []
        while text:
            names = [i for i, name in NAMES.items() if text.startswith(name)] if parse_special else []
            ids += names or text[0].encode()
            text = text[len(NAMES[names[0]]) if names else 1 :]
        return ids

    def piece(self, token: int) -> str:
        return NAMES.get(token) or bytes([token]).decode("latin-1")

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return NAMES[token].encode() if special and token in NAMES else b"" if token in NAMES else bytes([token])

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        return b"".join(map(self.piece_bytes, ids)).decode("utf-8", "replace")


class ScriptedContext:
    layout, parts = "scripted", ()
    self_extend = None

    def __init__(self, answers: Sequence[str], n_ctx: int, cache_types: Sequence[str] = ("f16", "f16")) -> None:
        self.n_ctx = n_ctx
        self.cache_types = tuple(cache_types)
        self.tokens: list[int] = []
        self.owner: object = None
        self.prompts: list[list[int]] = []
        self._answers = [[*answer.encode(), EOS] for answer in answers]
        self._cancelled = threading.Event()

    def eval(
        self, tokens: Sequence[int], logits: str = "last", progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        if len(self.tokens) + len(tokens) > self.n_ctx:
            raise ContextFull(f"{len(tokens)} tokens do not fit")
        if progress is None and len(tokens) > 1 and logits == "last":  # read ahead while the person types
            self.tokens += tokens
            return np.zeros(N_VOCAB, np.float32)
        if len(tokens) > 1 and logits == "last":
            self.prompts.append([*self.tokens, *tokens])
        n_past = len(self.tokens)
        followings = [self._following(n_past + n) for n in range(1, len(tokens) + 1)]
        following = followings[-1]
        if following == ord(STUCK):
            for done in (1, 2) if progress is not None else ():
                progress(done, 10**9)  # so slow that a terminal shows the bar
            self._cancelled.wait()
        if self._cancelled.is_set():
            self._cancelled.clear()
            raise Cancelled("stopped")
        self.tokens += tokens
        rows = np.zeros((len(tokens), N_VOCAB), np.float32)
        rows[np.arange(len(tokens)), followings] = 100.0
        return rows if logits == "all" else rows[-1]

    def _following(self, n_past: int) -> int:
        if not self.prompts:
            return EOS
        answer = self._answers[min(len(self.prompts), len(self._answers)) - 1]
        return answer[max(0, min(n_past - len(self.prompts[-1]), len(answer) - 1))]

    def truncate(self, n_past: int) -> None:
        del self.tokens[n_past:]

    can_shift = True
    n_lost = 0
    needs_checkpoints = False

    def reachable(self, n_past: int) -> int:
        return min(n_past, len(self.tokens))

    def shift_refusal(self, first: int, last: int) -> str:
        return ""

    def rewind(self, n_past: int) -> int:
        del self.tokens[n_past:]
        return n_past

    def checkpoint(self, passing: bool = False) -> None:
        pass

    @property
    def n_ahead(self) -> int:
        return self.n_ctx - len(self.tokens)

    @property
    def n_reusable(self) -> int:
        return len(self.tokens)

    def memory(self, n_tokens: int) -> np.ndarray:
        return np.asarray(self.tokens[:n_tokens], np.int32).view(np.uint8)

    def restore(
        self,
        tokens: Sequence[int],
        fill: Callable[[np.ndarray], None],
        n_reusable: int | None = None,
        n_lost: int | None = None,
    ) -> None:
        self.tokens = []
        fill(np.zeros(4 * len(tokens), np.uint8))
        self.tokens = list(tokens)

    def take_over(self, other: "ScriptedContext") -> None:
        self.tokens = other.tokens[: self.n_ctx] if self.cache_types == other.cache_types else []
        self.prompts = other.prompts

    def remove(self, first: int, last: int) -> None:
        del self.tokens[first:last]

    def cancel(self) -> None:
        self._cancelled.set()

    def resume(self) -> None:
        self._cancelled.clear()


class ScriptedModel:
    title, n_vocab, n_ctx_train = "scripted \x1b]0;evil\x07model", N_VOCAB, 4096
    chat_template = builtin_template("chatml")
    tool_template = None
    file = SimpleNamespace(metadata={}, tensors={}, mappings=(), path="scripted.gguf")

    overrides = NOTHING

    def __init__(self, answers: Sequence[str], n_ctx: int = 4096) -> None:
        self.tokenizer, self.adapters = ScriptedTokenizer(), Opened(NONE)
        self.contexts: list[ScriptedContext] = []
        self.closed = False
        self._answers, self._n_ctx = answers, n_ctx

    def __enter__(self) -> "ScriptedModel":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True

    def tokenize(self, text: str, add_special: bool = True, parse_special: bool = False) -> list[int]:
        return self.tokenizer.encode(text, add_special, parse_special)

    def adapt(self, asked: Adapters, contexts: Iterable[ScriptedContext] = ()) -> tuple[str, ...]:
        """Changes nothing."""
        self.adapters = Opened(asked)
        for context in contexts:
            context.rewind(0)
        return ()

    def context(
        self,
        n_ctx: int | None = None,
        cache_type: str = "f16",
        cache_type_v: str = "f16",
        self_extend: tuple[int, int] | None = None,
    ) -> ScriptedContext:
        self.contexts.append(ScriptedContext(self._answers, n_ctx or self._n_ctx, (cache_type, cache_type_v)))
        return self.contexts[-1]


if __name__ == "__main__":
    from llamachat.__main__ import main
    from llamachat.cli import loading

    model = ScriptedModel(json.loads(os.environ["SCRIPTED_ANSWERS"]))

    def load_model(*_: object, **__: object) -> ScriptedModel:
        if wait := float(os.environ.get("SCRIPTED_LOAD_S", "0")):
            sys.stderr.write("(loading)\n")
            time.sleep(wait)
        return model

    loading.load_model = load_model
    loading.open_header = lambda choice: model
    loading.open_tokenizer = lambda choice: model.tokenizer
    sys.argv[0] = "llamachat"
    main()
