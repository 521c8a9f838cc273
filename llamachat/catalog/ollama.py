"""Ollama's store: a manifest per model and tag names the blob that holds the GGUF file.

    models/manifests/<registry>/<namespace>/<model>/<tag>     JSON with "layers"
    models/blobs/sha256-<digest>                              the layer whose mediaType is ...image.model

Source: Ollama, docs and `server/internal/manifest` (a layer is named by its digest).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

MEDIA_TYPE = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_MAX_MANIFEST_BYTES = 1 << 20


def ollama_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name ("llama3.2:1b", "owner/model:tag", "hf.co/owner/model:tag") and blob of every GGUF model in the store.

    The blob need not be there. What is no manifest, or the manifest of another kind of model, is passed over.
    """
    manifests = folder / "manifests"
    try:
        paths = sorted(manifests.glob("*/*/*/*"))
    except OSError:
        return
    for path in paths:
        digest = _digest(path)
        if digest:
            yield _name(*path.relative_to(manifests).parts), folder / "blobs" / f"sha256-{digest}"


def _name(registry: str, namespace: str, model: str, tag: str) -> str:
    """The name as Ollama prints it: what is the default is left out."""
    name = f"{model}:{tag}"
    if registry != "registry.ollama.ai":
        return f"{registry}/{namespace}/{name}"
    return name if namespace == "library" else f"{namespace}/{name}"


def _digest(manifest: Path) -> str:
    """The digest of the manifest's one GGUF layer, or ""."""
    try:
        if manifest.stat().st_size > _MAX_MANIFEST_BYTES:
            return ""
        content = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    layers = content.get("layers") if isinstance(content, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and layer.get("mediaType") == MEDIA_TYPE:
            found = _DIGEST.fullmatch(str(layer.get("digest")))
            return found[1] if found else ""
    return ""
