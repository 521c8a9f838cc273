"""Emitters, one file per family of operation: where formats and instructions meet."""
