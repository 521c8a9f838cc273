"""Models on this machine and where to get more: names, discovery, downloads."""

from llamachat.catalog.discover import FoundModel, discover
from llamachat.catalog.resolve import NotFetched, resolve
from llamachat.catalog.sources import fetch_default, pull

__all__ = ["FoundModel", "NotFetched", "discover", "fetch_default", "pull", "resolve"]
