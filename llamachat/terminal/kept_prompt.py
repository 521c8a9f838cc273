"""A prompt that is kept on disk: read before the model begins, written when it has ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.errors import LlamaChatError
from llamachat.terminal.output import note
from llamachat.terminal.waking import LOST, description_of, number_in, settings_of

if TYPE_CHECKING:
    from llamachat.terminal.responder import Responder


@dataclass
class PromptKeeper:
    """The file of a prompt. everything: the answer is kept, too; read_only: the file is never written; lenient: a file
    of something else is as good as none. type: what the file's numbers are, if not what the cache's are.
    """

    path: Path
    everything: bool = False
    read_only: bool = False
    lenient: bool = False
    type: str | None = None
    _n_kept: int = 0

    def take_over(self, responder: "Responder", prompt: Sequence[int]) -> list[int]:
        """Fills the responder's context with what the file has of the prompt; returns the prompt.

        An empty prompt is what the file has. Raises UnusableCache for a file that is damaged, or of something else.
        """
        from llamachat.session.prompt_cache import UnusableCache, open_prompt_cache

        try:
            kept = open_prompt_cache(self.path, settings_of(responder), responder.context.parts)
            if len(kept.tokens) > responder.context.n_ctx:
                raise UnusableCache(f"{self.path} has {len(kept.tokens)} tokens, the context {responder.context.n_ctx}")
            responder.context.restore(kept.tokens, kept.fill, n_lost=number_in(kept.settings, LOST))
        except FileNotFoundError:
            return list(prompt)
        except UnusableCache as error:
            if not self.lenient:
                raise
            note(f"{error}; it is not used")
            return list(prompt)
        wanted = list(prompt) or kept.tokens
        n_same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(kept.tokens, wanted, strict=False)))
        self._n_kept = len(kept.tokens)
        n_same = responder.context.rewind(n_same)
        if responder.status.enabled:
            n_known = min(n_same, max(0, len(wanted) - 1))
            note(f"[{n_known} of {len(wanted)} tokens of the prompt are known from {self.path}]")
        return wanted

    def keep(self, responder: "Responder", n_prompt: int, said: Sequence[int] = ()) -> None:
        """Writes the file, unless it has all of it already; says so where that cannot be done.

        said: all tokens of the text, of which the model may not have read the last ones yet; they belong to all of it.
        """
        context = responder.context
        unread = said[len(context.tokens) : context.n_ctx]
        if self.everything and not self.read_only and unread and context.tokens == said[: len(context.tokens)]:
            context.eval(unread)
        n_tokens = min(context.n_reusable, len(context.tokens) if self.everything else n_prompt)
        if self.read_only or n_tokens <= 0 or (not self.everything and n_tokens <= self._n_kept):
            return
        from llamachat.session.packing import Packing
        from llamachat.session.prompt_cache import write_prompt_cache

        packing = Packing(self.type, context.parts(n_tokens)) if self.type is not None else None
        tokens = context.tokens[:n_tokens]
        try:
            memory = context.memory(n_tokens)
            write_prompt_cache(self.path, tokens, memory, description_of(responder), packing)
            self._n_kept = n_tokens
        except LlamaChatError as error:
            note(str(error))
