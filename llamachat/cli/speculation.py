"""Options for speculative decoding."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from llamachat.cli.options import ModelChoice
    from llamachat.engine.generate import Speculation
    from llamachat.engine.tokenizers import Tokenizer
    from llamachat.terminal.status import Status


@dataclass(frozen=True)
class SpeculationChoice:
    """What proposes tokens, and how many. The text is the same with and without. places: as of `ModelFile`."""

    lookup: Annotated[
        bool,
        Option(
            "--lookup",
            help="Speculative decoding by prompt look-up: n-grams of the text so far propose the next tokens.",
        ),
    ] = False
    lookup_cache_static: Annotated[
        Path | None,
        Option("--lookup-cache-static", "-lcs", metavar="FILE", help="With --lookup: n-grams from this file as well."),
    ] = None
    model_draft: Annotated[
        str | None,
        Option(
            "--model-draft",
            "-md",
            metavar="MODEL",
            help="Speculative decoding with this draft model; its vocabulary must be the same.",
        ),
    ] = None
    draft_max: Annotated[
        int,
        Option(
            "--draft-max", "--draft", min=1, max=64, metavar="N", help="Maximum number of proposed tokens per step."
        ),
    ] = 16
    draft_min: Annotated[
        int,
        Option(
            "--draft-min", min=0, max=64, metavar="N", help="Discard proposals of the draft model with fewer tokens."
        ),
    ] = 0
    draft_p_min: Annotated[
        float,
        Option(
            "--draft-p-min", min=0, max=1, metavar="X", help="The draft model stops proposing below this probability."
        ),
    ] = 0.75
    places: Mapping[str, str] = field(default_factory=dict)

    def open(
        self, choice: "ModelChoice", tokenizer: Callable[[], "Tokenizer"], stack: ExitStack, status: "Status"
    ) -> "Speculation | None":
        """What proposes tokens for a model with this tokenizer; a draft model is loaded, and closed by the stack."""
        from llamachat.engine.generate import Speculation
        from llamachat.engine.speculation.lookup import Lookup, StaticNgrams

        if self.lookup_cache_static is not None:
            static = StaticNgrams.of_file(
                self.lookup_cache_static, tokenizer().n_vocab, f"--lookup-cache-static {self.lookup_cache_static}"
            )
            return Speculation(Lookup(static), self.draft_max)
        if self.lookup:
            return Speculation(Lookup(), self.draft_max)
        if self.model_draft is None:
            return None
        return self._open_draft(choice, tokenizer(), stack, status)

    def _open_draft(
        self, choice: "ModelChoice", tokenizer: "Tokenizer", stack: ExitStack, status: "Status"
    ) -> "Speculation":
        """Compares the vocabularies before any weight is read."""
        from llamachat.catalog import resolve
        from llamachat.cli.settings.places import placed
        from llamachat.engine.generate import Speculation
        from llamachat.engine.model import Model
        from llamachat.engine.speculation.draft import DraftModel, check_vocabularies
        from llamachat.engine.tokenizers import Tokenizer

        with placed(self.places, "model_draft"):
            path = resolve(self.model_draft)
        check_vocabularies(tokenizer, Tokenizer(path))
        with status.during(f"loading {path.name} ..."):
            draft = stack.enter_context(Model(path, choice.threads, n_ctx=choice.ctx_size, progress=status.progress))
        return Speculation(
            DraftModel(draft.context(), tokenizer.n_vocab, self.draft_min, self.draft_p_min), self.draft_max
        )
