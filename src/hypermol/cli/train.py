"""hypermol train"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hypermol.cli.options import DataDir, Device, Passthrough, Settings, parse_settings
from hypermol.errors import ConfigError

PREPARATION = ("box", "window", "normalise", "sign")


def train(
    particles: Annotated[Path | None, Parameter(help="A RELION .star or cryoSPARC .cs file.")] = None,
    /,
    *,
    method: Annotated[str, Parameter(name=["--method", "-m"], help="See `hypermol methods`.")] = "cryodrgn",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="The run folder to make.")] = None,
    resume: Annotated[Path | None, Parameter(help="Continue this run folder instead.")] = None,
    settings: Settings = (),
    datadir: DataDir = None,
    passthrough: Passthrough = (),
    device: Device = "auto",
    memory_gb: Annotated[float | None, Parameter(help="Keep at most this much of the images in memory.")] = None,
) -> None:
    """Reconstruct: from particles to a run folder with maps, estimates and a log.

    Data settings are set like the method's: `--set box=128` (Fourier crop), `--set sign=-1` (dark particles).

    Example: `hypermol train particles.star -m cryodrgn -o run --set epochs=30 --set z_dim=8`
    """
    from hypermol.cli.progress import Reporter, duration, stop_requests
    from hypermol.methods import Conduct, configured, find_method
    from hypermol.methods import resume as resume_run
    from hypermol.methods import train as train_run

    began = time.monotonic()
    limit = None if memory_gb is None else int(memory_gb * 2**30)
    with stop_requests() as asked:
        conduct = Conduct(device=device, memory_limit=limit, report=Reporter(), asked_to_stop=asked)
        if resume is not None:
            if particles is not None or out is not None or settings:
                raise ConfigError("--resume RUN goes alone: a run keeps the particles and settings it was started with")
            run = resume_run(resume, conduct)
        else:
            path, folder = _required(particles, out)
            values = parse_settings(settings)
            run = train_run(
                path,
                configured(find_method(method), _without(values, ("seed", *PREPARATION))),
                folder,
                seed=_seed(values),
                datadir=datadir,
                passthrough=passthrough,
                preparation=_preparation(values),
                conduct=conduct,
            )
    print(f"done in {duration(time.monotonic() - began)}: {run.path}")
    print(f"next: hypermol analyze {run.path}; hypermol report {run.path}")


def _required(particles: Path | None, out: Path | None) -> tuple[Path, Path]:
    if particles is None:
        raise ConfigError("which particles? give a .star or .cs file, or --resume RUN")
    if out is None:
        raise ConfigError("where to? give the run folder with -o RUN")
    return particles, out


def _without(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def _seed(values: dict[str, Any]) -> int:
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"--set seed={seed}: expected a whole number of at least 0")
    return seed


def _preparation(values: dict[str, Any]) -> Any:
    from hypermol.particles import Preparation
    from hypermol.specs import validated

    return validated(Preparation, {name: values[name] for name in PREPARATION if name in values})
