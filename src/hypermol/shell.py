"""Commands that the program proposes can be pasted into a shell, whatever the names of files are."""

import shlex
from pathlib import Path


def quoted(path: Path | str) -> str:
    """A path as a word of a shell command."""
    return shlex.quote(str(path))
