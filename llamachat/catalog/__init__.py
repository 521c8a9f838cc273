"""Models on this machine and where to get more: names, discovery, downloads."""

from llamachat.catalog.discover import FoundModel, discover
from llamachat.catalog.resolve import resolve
from llamachat.catalog.sources import fetch_default, pull

__all__ = ["FoundModel", "discover", "fetch_default", "pull", "resolve"]
