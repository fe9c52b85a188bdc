"""Words for a person: wrapped at the terminal's width, untouched where a program reads them."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from typing import Any, TextIO

_WHOLE = re.compile(r"`[^`]*`|(?<=[:;] )hypermol [a-z]+[^;]*|'[^']*'")
"""Commands and quoted paths: a line break within them could not be pasted."""
_SPACE = "\ue000"
"""In place of a space at which no line is broken."""


def say(text: str = "", stream: TextIO | None = None) -> None:
    """Print ``text``. Of several processes (torchrun), the first speaks."""
    stream = stream or sys.stdout
    if is_first():
        print(wrapped(text, stream), file=stream, flush=True)


def complain(text: str) -> None:
    """Print an error to standard error."""
    say(f"hypermol: {text}", sys.stderr)


def wrapped(text: str, stream: Any) -> str:
    """``text`` with its long lines broken between words, where ``stream`` is a terminal. Paths and commands stay
    whole."""
    if not stream.isatty():
        return text
    width = max(40, shutil.get_terminal_size().columns - 1)
    return "\n".join(_filled(line, width) for line in text.split("\n"))


def _filled(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    line = _WHOLE.sub(lambda found: found[0].replace(" ", _SPACE), line)
    filled = textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return filled.replace(_SPACE, " ")


def is_first() -> bool:
    """Whether this is the process that speaks."""
    return os.environ.get("RANK", "0") == "0"
