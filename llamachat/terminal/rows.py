"""Rows of measurements as a table for people, as JSON and as CSV for programs. A row maps llama-bench's field names."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

from llamachat.terminal.columns import columns_of, padded
from llamachat.terminal.schema import versioned

Row = Mapping[str, object]


def as_table(rows: Sequence[Row]) -> str:
    """Aligned columns: model, type, size, parameters, threads, test, tokens per second, share of the limit."""
    lines = [("model", "size", "params", "threads", "test", "tokens/s", "share of the limit"), *map(_cells, rows)]
    widths = [max(columns_of(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(padded(line[column], width, right=column > 0) for column, width in enumerate(widths)).rstrip()
        for line in lines
    )


def as_json(rows: Sequence[Row]) -> str:
    """A JSON array with every field."""
    return json.dumps([versioned(row) for row in rows], indent=2)


def as_csv(rows: Sequence[Row]) -> str:
    """One line per row below a line of names; fields that are lists (the samples) are left out, as llama-bench does."""
    names = [name for name, value in rows[0].items() if not isinstance(value, list | tuple)] if rows else []
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


UNITS = {"bytes/s": "GB/s", "operations/s": "Gop/s"}
"""A limit's unit, and the unit of a billionth of it."""

FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {"table": as_table, "json": as_json, "csv": as_csv}


def _cells(row: Row) -> tuple[str, ...]:
    limit = f"{_number(row, 'limit') / 1e9:.0f} {UNITS[str(row['limit_unit'])]}"
    return (
        str(row["model_type"]),
        f"{_number(row, 'model_size') / 1e6:.0f} MB",
        f"{_number(row, 'model_n_params') / 1e6:.1f} M",
        str(row["n_threads"]),
        str(row["test"]),
        f"{_number(row, 'avg_ts'):.1f} +/- {_number(row, 'stddev_ts'):.1f}",
        f"{100 * _number(row, 'limit_share'):.0f} % of {limit}",
    )


def _number(row: Row, name: str) -> float:
    return float(str(row[name]))
