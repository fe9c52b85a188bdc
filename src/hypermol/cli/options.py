"""Options that several commands share."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hypermol.errors import ConfigError

RunFolder = Annotated[Path, Parameter(help="A run folder.")]
Particles = Annotated[Path, Parameter(help="A RELION .star file, a cryoSPARC .cs file or an .mrcs stack.")]
DataDir = Annotated[Path | None, Parameter(help="Folder that image paths in the file are relative to.")]
Passthrough = Annotated[
    tuple[Path, ...],
    Parameter(help="cryoSPARC passthrough .cs file, merged by uid (may be repeated).", negative=(), show_default=False),
]
Poses = Annotated[Path | None, Parameter(help="Poses of cryoDRGN (.pkl), instead of the file's own.")]
Ctf = Annotated[Path | None, Parameter(help="CTF of cryoDRGN (.pkl), instead of the file's own.")]
PixelSize = Annotated[float | None, Parameter(help="Å per pixel, instead of what the files say.")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N.")]
MemoryGb = Annotated[float | None, Parameter(help="Keep at most this much of the images in memory, GiB.")]
Settings = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        help="A setting, key=value (may be repeated); dots reach into parts: volume.hidden=512.",
        negative=(),
        show_default=False,
    ),
]


def parse_settings(settings: tuple[str, ...], option: str = "--set") -> dict[str, Any]:
    """``("epochs=6", "volume.encoding=geometric", "tilts_deg=0,45")`` → values as TOML reads them, numbers with commas
    as lists, bare words as text.

    Raises ConfigError, which names the ``option``, for one without "=", or given twice.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not key:
            raise ConfigError(f"{option} {setting}: expected key=value, for example {option} epochs=30")
        if key in values:
            raise ConfigError(f"{option} {key} is given twice; give it once")
        values[key] = _value(text)
    return values


def memory_bytes(gb: float | None) -> int | None:
    """GiB → bytes; None (as the machine allows) stays. Raises ConfigError for what is no amount."""
    if gb is None:
        return None
    if not 0 < gb < math.inf:
        raise ConfigError(f"--memory-gb {gb:g}: expected more than 0 GiB (leave it out for no limit)")
    return int(gb * 2**30)


def _value(text: str) -> Any:
    for written in (text, f"[{text}]") if "," in text else (text,):
        try:
            return tomllib.loads(f"value = {written}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    return text


def say_device(device: str) -> None:
    """Print where the work is done, and why. Raises ConfigError where that cannot be."""
    from hypermol.cli.say import say
    from hypermol.engine import choose_device

    say(f"device: {choose_device(device)[1]}")
