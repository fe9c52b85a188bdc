"""Outside programs: where they are. They live in environments of their own and are never imported."""

from __future__ import annotations

import os
from pathlib import Path

from hypermol.benchmarks.circumstances import ROOT
from hypermol.errors import ConfigError


def find_cryodrgn() -> Path:
    """The folder with cryoDRGN's programs: $HYPERMOL_CRYODRGN, or .peers/cryodrgn/bin as `make peers` sets it up.

    Raises ConfigError where there is none.
    """
    for folder in (os.environ.get("HYPERMOL_CRYODRGN"), ROOT / ".peers" / "cryodrgn" / "bin"):
        if folder and (Path(folder) / "cryodrgn").exists():
            return Path(folder)
    raise ConfigError("cryoDRGN was not found; `make peers` installs it, or set HYPERMOL_CRYODRGN to its bin folder")
