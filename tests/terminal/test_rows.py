"""Measurements as a table, as JSON and as CSV."""

import csv
import io
import json

from llamachat.terminal.rows import as_csv, as_json, as_table

ROWS = [
    {
        "model_filename": "a,b.gguf", "model_type": "llama Q4_1", "model_size": 97_000_000,
        "model_n_params": 134_500_000, "n_threads": 2, "test": "pp512", "avg_ts": 1800.25, "stddev_ts": 12.0,
        "samples_ts": [1800.25],
        "limit": 9e11, "limit_unit": "operations/s", "limit_share": 0.5,
    },
    {
        "model_filename": "a,b.gguf", "model_type": "llama Q4_1", "model_size": 97_000_000,
        "model_n_params": 134_500_000, "n_threads": 2, "test": "tg128", "avg_ts": 280.0, "stddev_ts": 1.0,
        "samples_ts": [280.0],
        "limit": 3.4e10, "limit_unit": "bytes/s", "limit_share": 0.81,
    },
]  # fmt: skip


def test_a_table_has_aligned_columns_and_the_share_of_the_limit():
    lines = as_table(ROWS).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "1800.2 +/- 12.0" in lines[1]
    assert lines[1].endswith("50 % of 900 Gop/s")
    assert lines[2].endswith("81 % of 34 GB/s")


def test_json_has_every_field():
    assert json.loads(as_json(ROWS)) == [{"v": 1, **row} for row in ROWS]


def test_csv_has_every_field_that_is_no_list():
    first = next(csv.DictReader(io.StringIO(as_csv(ROWS))))
    assert first["model_filename"] == "a,b.gguf"
    assert "samples_ts" not in first
    assert first["avg_ts"] == "1800.25"


def test_no_rows_are_an_empty_csv():
    assert as_csv([]) == ""
