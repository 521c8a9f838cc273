"""What two models' predictions have in common, for a person, as JSON or as CSV; and a plot of the KL divergences."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llamachat.terminal.columns import columns_of, padded
from llamachat.terminal.schema import versioned
from llamachat.terminal.table import output_width

if TYPE_CHECKING:
    from llamachat.engine.arrays import NDArray
    from llamachat.prepare.divergence import Divergences, Estimate

PERCENTILES = (90.0, 95.0, 99.0, 99.9)
_PLOT_WIDTH = 72
_EDGES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Borders of the plot's bars: each about three times the one before."""


def figures(found: Divergences) -> dict[str, float | int]:
    """Everything that is known, by name; KL divergences in nats, shares from 0 to 1."""
    named: Mapping[str, Estimate] = {
        "ppl_base": found.perplexity(found.nll_base),
        "ppl": found.perplexity(found.nll),
        "ppl_ratio": found.ratio,
        "ln_ppl_ratio": found.log_ratio,
        "kl_mean": found.mean_kl,
        "delta_p_rms": found.rms_delta_p,
        "same_top": found.agreement,
    }
    made: dict[str, float | int] = {"n_scored": found.n_scored}
    for name, one in named.items():
        made |= {name: one.mean, f"{name}_error": one.error}
    made |= {"kl_median": found.percentile(found.kl, 50), "kl_max": float(found.kl.max())}
    return made | {f"kl_{share:g}".replace(".", "_"): found.percentile(found.kl, share) for share in PERCENTILES}


def as_json(about: Mapping[str, object], found: Divergences) -> str:
    """One object; what is no number is null."""
    finite = {name: value if math.isfinite(value) else None for name, value in figures(found).items()}
    return json.dumps(versioned({**about, **finite}))


def as_csv(about: Mapping[str, object], found: Divergences) -> str:
    """A line of names and one of values."""
    row = {**about, **figures(found)}
    text = io.StringIO()
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)
    return text.getvalue().rstrip("\n")


def as_text(names: Sequence[str], found: Divergences) -> str:
    """For a person. names: of the base and of the model."""
    ratio, kl, same, delta = found.ratio, found.mean_kl, found.agreement, found.rms_delta_p
    rows = [
        ("tokens scored", f"{found.n_scored}"),
        ("perplexity, base", _pm(found.perplexity(found.nll_base), names[0])),
        ("perplexity, model", _pm(found.perplexity(found.nll), names[1])),
        ("ratio", f"{ratio.mean:.5f} +/- {ratio.error:.5f}"),
        ("KL divergence", f"{kl.mean:.6f} +/- {kl.error:.6f}"),
        ("  median", f"{found.percentile(found.kl, 50):.6f}"),
        *((f"  {share:g} %", f"{found.percentile(found.kl, share):.6f}") for share in PERCENTILES),
        ("  maximum", f"{found.kl.max():.6f}"),
        ("same top token", f"{100 * same.mean:.2f} % +/- {100 * same.error:.2f} %"),
        ("RMS delta p", f"{100 * delta.mean:.3f} % +/- {100 * delta.error:.3f} %"),
    ]
    width = max(columns_of(name) for name, _ in rows)
    lines = [f"{padded(name, width)}  {value}" for name, value in rows]
    return "\n".join([*lines, "", "KL divergence of a token, share of all:", *plot(found.kl)])


def _pm(one: Estimate, name: str) -> str:
    return f"{one.mean:.4f} +/- {one.error:.4f}  {name}"


def plot(values: NDArray[np.float64]) -> Iterator[str]:
    """A bar for each range of values [n], as long as its share; the longest takes the width that there is."""
    counts, _ = np.histogram(values, [-np.inf, *_EDGES, np.inf])
    labels = [f"< {_EDGES[0]:g}", *(f"< {edge:g}" for edge in _EDGES[1:]), f">= {_EDGES[-1]:g}"]
    kept = [i for i, count in enumerate(counts) if count]
    first, last = (kept[0], kept[-1]) if kept else (0, len(counts) - 1)
    label_width = max(map(len, labels))
    room = max(8, min(_PLOT_WIDTH, output_width() or _PLOT_WIDTH) - label_width - 10)
    block = _block()
    for label, count in list(zip(labels, counts.tolist(), strict=True))[first : last + 1]:
        bar = block * round(room * count / max(counts.max(), 1)) or ("." if count else "")
        yield f"{label:>{label_width}} {bar} {100 * count / max(len(values), 1):.1f} %".rstrip()


def _block() -> str:
    """What bars are made of: a full block where the output has one."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        "█".encode(encoding)
    except UnicodeEncodeError:
        return "#"
    return "█"
