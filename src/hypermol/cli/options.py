"""Options that several commands share."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hypermol.errors import ConfigError

Particles = Annotated[Path, Parameter(help="A RELION .star or cryoSPARC .cs file.")]
DataDir = Annotated[Path | None, Parameter(help="Folder that image paths in the file are relative to.")]
Passthrough = Annotated[tuple[Path, ...], Parameter(help="cryoSPARC passthrough .cs file, merged by uid.", negative=())]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N.")]
Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", help="A setting, key=value; dots reach into parts (volume.hidden=512).", negative=()),
]


def parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """``("epochs=6", "volume.encoding=geometric")`` → values as TOML reads them, bare words as text.

    Raises ConfigError for one without "=".
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting}: expected key=value, for example --set epochs=30")
        try:
            values[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key.strip()] = text
    return values
