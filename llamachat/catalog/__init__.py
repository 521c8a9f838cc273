"""Models on this machine and where to get more: names, discovery, downloads."""
