"""What a model would reach on this machine, from its header and the measured speeds; its weights are not read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llamachat.cli.checkup.facts import Fact
from llamachat.engine.backend.choose import choose
from llamachat.engine.gguf import open_gguf
from llamachat.engine.measure import Work
from llamachat.engine.memory import available_memory, plan_memory, size_text
from llamachat.engine.models import describe
from llamachat.errors import LlamaChatError, NotEnoughMemory

CACHE_TYPE: Final = "f16"


@dataclass(frozen=True)
class Header:
    """A model's file, what a token costs, and the tokens that it was trained with; or the reason why it cannot load."""

    path: Path
    work: Work | None = None
    n_ctx_train: int = 0
    problem: str = ""

    @classmethod
    def of(cls, path: Path) -> "Header":
        """What the header of a file says."""
        try:
            return cls(path, *_work(path))
        except LlamaChatError as error:
            return cls(path, problem=str(error))


def reach(header: Header, speeds: Mapping[str, float]) -> Iterator[Fact]:
    """Bytes and operations of a token, and the tokens per second that bandwidth and arithmetic allow at most."""
    yield Fact("file", str(header.path), str(header.path))
    work, n_ctx = header.work, header.n_ctx_train
    if work is None:
        yield Fact("loads", False, header.problem, problem=True)
        return
    yield from _memory(work, n_ctx)
    yield Fact("bytes_per_token", work.weight_bytes, f"{size_text(work.weight_bytes)} of weights are read for a token")
    per_token = work.state.per_token
    yield Fact("cache_bytes_per_token", per_token, f"{size_text(per_token)} more for each token before it")
    if not speeds:
        return
    read = speeds["read_bytes_per_s"]
    generation, full = read / work.weight_bytes, read / (work.weight_bytes + work.state.read(n_ctx))
    yield Fact("generation_per_s", generation, f"at most {generation:.0f} tokens/s, with an empty context")
    yield Fact("generation_full_per_s", full, f"at most {full:.0f} tokens/s, after {n_ctx} tokens")
    rate = speeds["integer_operations_per_s" if work.quantised else "float_operations_per_s"]
    prompt = rate / work.operations
    yield Fact("prompt_per_s", prompt, f"at most {prompt:.0f} tokens/s of a prompt")


def _work(path: Path) -> tuple[Work, int]:
    """What a token costs, and the tokens that the model was trained with. Raises ModelFileError."""
    file = open_gguf(path)
    spec = describe(file.metadata, file.tensors, path)
    nodes = spec.graph().nodes
    return Work.in_file(nodes, file.tensors, choose(), (CACHE_TYPE, CACHE_TYPE)), spec.params.context_length


def _memory(work: Work, n_ctx_train: int) -> Iterator[Fact]:
    """The memory that it takes with a usual context, about."""
    try:
        plan = plan_memory(work.weight_bytes, work.state.cache, 0, None, n_ctx_train, available_memory())
    except NotEnoughMemory as error:
        yield Fact("fits", False, str(error), problem=True)
        return
    yield Fact("fits", True, f"{size_text(plan.total)} with a context of {plan.n_ctx} tokens, about")
