"""A prompt cache file of one prompt: read before the model answers, written afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.dialogue.snapshots import LOST, Tell, description_of, number_in, settings_of
from llamachat.errors import LlamaChatError

if TYPE_CHECKING:
    from llamachat.dialogue.responder import Responder


@dataclass
class PromptKeeper:
    """The file of a prompt.

    tell: shows what goes wrong with the file. tell_known: shows how much of the prompt the file holds; None for nobody.
    everything: the answer is saved, too. read_only: the file is never written. lenient: a file of another model counts
    as none. type: the number format in the file; None is the cache's own.
    """

    path: Path
    tell: Tell
    tell_known: Tell | None = None
    everything: bool = False
    read_only: bool = False
    lenient: bool = False
    type: str | None = None
    _n_kept: int = 0

    def take_over(self, responder: "Responder", prompt: Sequence[int]) -> list[int]:
        """Fills the responder's context with what the file has of the prompt; returns the prompt.

        For an empty prompt that is all of the file. Raises UnusableCache for a damaged file or one of another model.
        """
        from llamachat.session.prompt_cache import UnusableCache, open_prompt_cache

        context = responder.context
        try:
            kept = open_prompt_cache(self.path, settings_of(responder), context.parts)
            if len(kept.tokens) > context.n_ctx:
                raise UnusableCache(f"{self.path} has {len(kept.tokens)} tokens, the context {context.n_ctx}")
            context.restore(kept.tokens, kept.fill, n_lost=number_in(kept.settings, LOST))
        except FileNotFoundError:
            return list(prompt)
        except UnusableCache as error:
            if not self.lenient:
                raise
            self.tell(f"{error}; it is not used")
            return list(prompt)
        wanted = list(prompt) or kept.tokens
        n_same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(kept.tokens, wanted, strict=False)))
        self._n_kept = len(kept.tokens)
        n_same = context.rewind(n_same)
        if self.tell_known is not None:
            n_known = min(n_same, max(0, len(wanted) - 1))
            self.tell_known(f"[{n_known} of {len(wanted)} tokens of the prompt are known from {self.path}]")
        return wanted

    def keep(self, responder: "Responder", n_prompt: int, said: Sequence[int] = ()) -> None:
        """Writes the file, unless it holds everything already; `tell` is given a sentence where that fails.

        said: all tokens of the text. The model may not have evaluated the last ones yet; they belong to everything.
        """
        context = responder.context
        unread = said[len(context.tokens) : context.n_ctx]
        if self.everything and not self.read_only and unread and context.tokens == said[: len(context.tokens)]:
            context.eval(unread)
        n_tokens = min(context.n_reusable, len(context.tokens) if self.everything else n_prompt)
        if context.needs_checkpoints:
            n_tokens = context.reachable(n_tokens)
        if self.read_only or n_tokens <= 0 or (not self.everything and n_tokens <= self._n_kept):
            return
        from llamachat.session.packing import Packing
        from llamachat.session.prompt_cache import write_prompt_cache

        packing = Packing(self.type, context.parts(n_tokens)) if self.type is not None else None
        tokens = context.tokens[:n_tokens]
        try:
            if context.needs_checkpoints and n_tokens < len(context.tokens):  # the answer stays where it is
                context = context.fork()
                context.rewind(n_tokens)
            memory = context.memory(n_tokens)
            write_prompt_cache(self.path, tokens, memory, description_of(responder), packing)
            self._n_kept = n_tokens
        except LlamaChatError as error:
            self.tell(str(error))
