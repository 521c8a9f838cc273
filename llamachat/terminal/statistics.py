"""What an answer took, for a person: a line, or a table of all figures."""

from collections.abc import Iterator

from llamachat.dialogue.figures import per_second
from llamachat.engine.events import Timings


def line(timings: Timings) -> str:
    """The figures that one looks at after every answer, in one line."""
    known = f" ({timings.n_known} known)" if timings.n_known else ""
    prompt = f"prompt {timings.n_prompt} tokens{known} in {timings.prompt_s:.2f} s"
    if not timings.n_generated:
        return f"[{prompt}; no answer]"
    prompt += _rate(timings.n_prompt - timings.n_known, timings.prompt_s)
    rate = _rate(timings.n_generated - 1, timings.generation_s)
    guessed = f", {timings.n_accepted} of {timings.n_drafted} guesses right" if timings.n_drafted else ""
    return f"[{prompt}; answer {timings.n_generated} tokens in {timings.generation_s:.2f} s{rate}{guessed}]"


def report(timings: Timings, load_s: float, n_ctx: int) -> str:
    """All figures, one to a line."""
    return "\n".join(f"{name:12}{value}" for name, value in _rows(timings, load_s, n_ctx))


def _rows(timings: Timings, load_s: float, n_ctx: int) -> Iterator[tuple[str, str]]:
    n_read, n_made = timings.n_prompt - timings.n_known, timings.n_generated
    known = f", {timings.n_known} known already" if timings.n_known else ""
    yield "load", f"{load_s:.2f} s"
    yield "prompt", f"{n_read} tokens in {timings.prompt_s:.2f} s{_rate(n_read, timings.prompt_s)}{known}"
    yield "generation", f"{n_made} tokens in {timings.generation_s:.2f} s{_rate(n_made - 1, timings.generation_s)}"
    each = f", {1e3 * timings.sampling_s / n_made:.2f} ms a token" if n_made else ""
    yield "sampling", f"{timings.sampling_s:.2f} s of it{each}"
    if timings.n_drafted:
        share = timings.n_accepted / timings.n_drafted
        yield "guesses", f"{timings.n_accepted} of {timings.n_drafted} right ({share:.0%})"
    forgotten = f", {timings.n_forgotten} older ones forgotten" if timings.n_forgotten else ""
    yield "context", f"{timings.n_past} of {n_ctx} tokens{forgotten}"


def _rate(tokens: int, seconds: float) -> str:
    rate = per_second(tokens, seconds)
    return f", {rate:.0f} tokens/s" if rate else ""
