"""Asks llama.cpp's own `llama_model_quantize` for types and files; runs with a Python that has llama-cpp-python.

One request per line of standard input, as JSON: {"source": path, "target": path or null, "number": file type,
"flags": {...}, "overrides": {key: value}, "patterns": [[regex, type id]], "importance": path of an .npz or null}. A
line of JSON answers each: {"rc": 0, "types": {tensor: type}, "log": the last lines}. Without a target nothing is
written.
"""

import ctypes
import json
import re
import sys
from typing import Any

import llama_cpp
import numpy as np

LINE = re.compile(r"\[ *\d+/ *\d+\] +(?P<name>\S+) +- \[.*?\], type = +(?P<old>\S+),(?P<rest>.*)")
NEW = re.compile(r"(?:converting to|->) *(?:[\d.]+ MiB \()?(?P<new>[a-z]\w+)")

_log: list[str] = []


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep(level: int, text: bytes, data: Any) -> None:
    _log.append(text.decode(errors="replace"))


def _patterns(rows: list[tuple[str, int]]) -> Any:
    kind = llama_cpp.llama_model_tensor_override
    return (kind * (len(rows) + 1))(*[kind(pattern.encode(), number) for pattern, number in rows], kind(None, 0))


def _overrides(values: dict[str, int]) -> Any:
    kind = llama_cpp.llama_model_kv_override
    array = (kind * (len(values) + 1))()
    for one, (key, value) in zip(array, values.items(), strict=False):
        one.key = key.encode()
        one.tag, one.value.val_i64 = 0, int(value)
    array[len(values)].key = b""
    return array


def _importance(path: str) -> Any:
    kind = llama_cpp.llama_model_imatrix_data
    kept = []
    with np.load(path) as file:
        for name in file.files:
            values = np.ascontiguousarray(file[name], np.float32)
            kept.append((name.encode(), values))
    array = (kind * (len(kept) + 1))()
    for one, (name, values) in zip(array, kept, strict=False):
        one.name, one.size = name, values.size
        one.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return array, kept


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """One quantisation."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = request["number"]
    params.nthread = request.get("threads", 2)
    params.dry_run = request.get("target") is None
    for name, value in request.get("flags", {}).items():
        setattr(params, name, value)
    keep = []
    for name, value in (
        ("tt_overrides", _patterns(request["patterns"]) if request.get("patterns") else None),
        ("kv_overrides", _overrides(request["overrides"]) if request.get("overrides") else None),
    ):
        if value is not None:
            keep.append(value)
            setattr(params, name, ctypes.cast(value, type(getattr(params, name))))
    if request.get("importance"):
        array, kept = _importance(request["importance"])
        keep += [array, kept]
        params.imatrix = ctypes.cast(array, type(params.imatrix))
    _log.clear()
    target = request.get("target") or "/dev/null"
    code = llama_cpp.llama_model_quantize(request["source"].encode(), target.encode(), ctypes.byref(params))
    text = "".join(_log)
    types = {}
    for found in LINE.finditer(text):
        new = NEW.search(found["rest"])
        types[found["name"]] = (new["new"] if new else found["old"]).upper()
    return {"rc": code, "types": types, "log": text.splitlines()[-6:]}


if __name__ == "__main__":
    llama_cpp.llama_log_set(_keep, None)
    for line in sys.stdin:
        print(json.dumps(ask(json.loads(line))), flush=True)
