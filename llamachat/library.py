"""The library's face: a model that generates and chats.

from llamachat import Model
with Model("smollm2.gguf") as model:
    for event in model.chat([{"role": "user", "content": "Hello!"}], max_tokens=64):
        print(event.text, end="")
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from llamachat.catalog.resolve import resolve
from llamachat.dialogue.prompts import Message, chat_template, conversation_tokens, text_prompt
from llamachat.engine.adapters import NONE, Adapters
from llamachat.engine.arrays import NDArray
from llamachat.engine.context import Context
from llamachat.engine.embedding import Embedder, Normalisation, Pooling, normalised, pair_tokens
from llamachat.engine.generate import UNLIMITED, Event, GenerationOptions, Speculation, generate
from llamachat.engine.model import Model as EngineModel
from llamachat.engine.sampling.file_defaults import with_file_defaults
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.tokenizers.filling import Gap, fill_in
from llamachat.errors import UsageError
from llamachat.templates.renderer import ChatTemplate

if TYPE_CHECKING:
    from llamachat.engine.grammar import GrammarSource


class Model(EngineModel):
    """A GGUF model that generates text. Tokenizing and contexts: see `engine.model.Model`."""

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None, **settings: Any) -> None:
        """Loads a model: a file, or a name as on the command line ("smollm2", a part of one of `llamachat models`).

        lora, control_vectors: files, or (file, scale); control_layers: (first, last), see `Adapters`. Other settings
        are fields of `engine.model.LoadOptions`, as embeds=True, overrides={"llama.rope.freq_base": 5e5}, or
        adapters, in place of the three. Errors as of `engine.model.Model`. Nothing is ever downloaded: UsageError for
        a name that is no model's here, with the command that fetches it.
        """
        asked = {name: settings.pop(name) for name in ("lora", "control_vectors", "control_layers") if name in settings}
        if not isinstance(settings.get("adapters", NONE), Adapters) or (asked and "adapters" in settings):
            said = "adapters is an `Adapters`, alone; files are given as lora=[...] and control_vectors=[...]"
            raise UsageError(said, settings=("lora",))
        if asked:
            settings["adapters"] = Adapters.of(**asked)
        super().__init__(resolve(os.fspath(path)), threads, **settings)

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int = UNLIMITED,
        stop: str | Sequence[str] = (),
        grammar: GrammarSource | None = None,
        n_keep: int | None = None,
        context: Context | None = None,
        speculation: Speculation | None = None,
        **sampling: Any,
    ) -> Iterator[Event]:
        """Continues a text, or token ids: an iterator of `Token` events and one `Stop`.

        grammar, n_keep: see `GenerationOptions`. context: where to evaluate; the default is one context of the model,
        whose common prefix with the prompt is not evaluated again. sampling: fields of `SamplingOptions`, as temp=0 or
        seed=1; for others the file's own defaults hold. Raises UsageError, ContextFull.
        """
        context = context or self._own_context
        if isinstance(prompt, str):
            prompt = text_prompt(prompt).tokens(self.tokenizer, context.n_ctx)
        stop = (stop,) if isinstance(stop, str) else stop
        given = SamplingOptions(**sampling, given=frozenset(sampling))
        settings, _ = with_file_defaults(given, self.file.metadata)
        options = GenerationOptions(
            max_tokens=max_tokens, stop=tuple(stop), sampling=settings, grammar=grammar, n_keep=n_keep
        )
        return generate(context, self.tokenizer, prompt, options, speculation=speculation)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        stop: str | Sequence[str] = (),
        **settings: Any,
    ) -> Iterator[Event]:
        """Answers a conversation of {"role", "content"} messages through the model's chat template.

        Earlier turns that the context holds are not evaluated again. A control token that is spelled out in a message
        is text. Arguments and errors as in `generate`; ModelFileError for a template that cannot be used.
        """
        context = settings.get("context") or self._own_context
        tokens = conversation_tokens(self.tokenizer, self.template, messages, context.n_ctx)
        stops = (*((stop,) if isinstance(stop, str) else stop), *self.template.end_texts)
        return self.generate(tokens, stop=stops, **settings)

    def adapt(self, adapters: Adapters, contexts: Iterable[Context] = ()) -> Sequence[str]:
        """As `engine.model.Model.adapt`; the model's own context, of `generate` and `chat`, is among the `contexts`."""
        own = [self._own_context] if "_own_context" in self.__dict__ else []
        return super().adapt(adapters, [*contexts, *own])

    def embed(
        self, texts: Sequence[str], pooling: Pooling | None = None, normalize: Normalisation = "l2"
    ) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """One vector for each text: float32 [n_texts, width]; of pooling "none" a list of [n_tokens, width].

        pooling: None is what the file says, see `engine.embedding.Embedder`; normalize: see `normalised` there. A text
        has the same bits alone and among others. `Model(path, embeds=True)` loads only what this needs; an
        encoder-decoder must be loaded so. Raises UsageError, ContextFull for a text longer than the context.
        """
        embedder = Embedder(self, pooling)
        if embedder.pooling == "rank":
            raise UsageError(f"{self.title} scores documents for a query: see rerank", settings=("pooling",))
        found = [normalised(one, normalize) for one in embedder.embed([self.tokenize(text) for text in texts])]
        if embedder.pooling == "none":
            return found
        return np.stack(found) if found else np.empty((0, embedder.width), np.float32)

    def rerank(self, query: str, documents: Sequence[str]) -> NDArray[np.float32]:
        """How well each document answers the query, the higher the better: float32 [n_documents].

        Raises UsageError where the file has no classifier, ContextFull for a document that does not fit the context.
        """
        embedder = Embedder(self, "rank")
        pairs = [pair_tokens(self, query, document) for document in documents]
        return np.array([one[0] for one in embedder.embed(pairs)], np.float32)

    def infill(
        self,
        prefix: str,
        suffix: str,
        files: Sequence[tuple[str, str]] = (),
        name: str = "",
        stop: str | Sequence[str] = (),
        **settings: Any,
    ) -> Iterator[Event]:
        """Fills in what is missing between two texts, with a model for code.

        files: names and texts of other files of the project; name: the file with the gap. What the context has no room
        for is left out, far from the gap first. The filling ends before it repeats the line after the gap. Arguments
        and errors as in `generate`; UsageError for a model without tokens for filling in.
        """
        context = settings.get("context") or self._own_context
        gap = Gap(prefix, suffix, tuple(files), name)
        stops = (*((stop,) if isinstance(stop, str) else stop), *gap.stop)
        return self.generate(fill_in(self.tokenizer, gap, context.n_ctx).ids, stop=stops, **settings)

    @cached_property
    def template(self) -> ChatTemplate:
        """The file's chat template; ChatML where it has none."""
        return chat_template(self)

    @cached_property
    def _own_context(self) -> Context:
        return self.context()
