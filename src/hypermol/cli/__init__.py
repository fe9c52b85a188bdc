"""The command line: one file per command. Parses, calls, prints; everything else is in the library."""

from hypermol.cli.main import main

__all__ = ["main"]
