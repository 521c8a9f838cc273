"""What an answer took, as numbers by name."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace

from llamachat.engine.events import Timings


def summed(several: Sequence[Timings]) -> Timings:
    """The figures of several answers together; what a context holds is what the last one left there."""
    total = Timings(**{f.name: sum(getattr(one, f.name) for one in several) for f in fields(Timings)})
    return replace(total, n_keep=several[-1].n_keep, n_past=several[-1].n_past)


def record(timings: Timings, load_s: float, n_ctx: int) -> dict[str, float]:
    """All figures by name: tokens, seconds (`_s`), tokens a second (`_per_s`), with four decimals at most."""
    figures = {
        "load_s": load_s,
        **asdict(timings),
        "prompt_per_s": per_second(timings.n_prompt - timings.n_known, timings.prompt_s),
        "generation_per_s": per_second(timings.n_generated - 1, timings.generation_s),
        "n_ctx": n_ctx,
    }
    return {name: round(value, 4) for name, value in figures.items()}


def per_second(tokens: int, seconds: float) -> float:
    """Tokens a second; 0.0 where none took any time."""
    return tokens / seconds if tokens > 0 and seconds > 0 else 0.0
