"""The command line: one file per command; reads options, calls one function, prints errors."""
