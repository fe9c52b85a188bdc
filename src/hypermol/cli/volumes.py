"""hypermol volumes"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hypermol.cli.numbers import numbers
from hypermol.cli.options import Device
from hypermol.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np


def volumes(
    run: Annotated[Path, Parameter(help="A run folder.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The folder for the maps.")],
    particles: Annotated[str | None, Parameter(help="Maps at the z of these particles (from 0): 0,7,9.")] = None,
    z: Annotated[Path | None, Parameter(help="Maps at the rows of this text file (or .npy).")] = None,
    states: Annotated[bool, Parameter(help="Maps at the cluster centres of `hypermol analyze`.")] = False,
    path: Annotated[str | None, Parameter(help="Maps along a path of `hypermol analyze`: graph, pc1, …")] = None,
    device: Device = "auto",
) -> None:
    """Maps (.mrc, true pixel size) at chosen conformations.

    Example: `hypermol volumes run --particles 0,7 -o maps` writes particle-000000.mrc and particle-000007.mrc
    """
    import numpy as np

    from hypermol.landscape import load_landscape
    from hypermol.methods import rebuild
    from hypermol.runs import Run

    if sum((particles is not None, z is not None, states, path is not None)) != 1:
        raise ConfigError("give exactly one of --particles, --z, --states, --path")
    opened = Run.open(run)
    trained = rebuild(opened, device)
    if particles is not None:
        known = trained.latent()
        chosen = numbers(particles, len(known), "particle")
        names, points = [f"particle-{i:06d}" for i in chosen], known[chosen]
    elif z is not None:
        points = _rows_of(z, trained.latent().shape[1])
        names = [f"z-{i:03d}" for i in range(len(points))]
    elif states:
        points = load_landscape(opened.landscape).kmeans.centre
        names = [f"state-{i:03d}" for i in range(len(points))]
    else:
        points = load_landscape(opened.landscape).path(str(path)).z
        names = [f"{path}-{i:03d}" for i in range(len(points))]
    trained.write_maps(out, names, np.asarray(points, dtype=np.float32))
    print(f"{len(names)} maps of {trained.box} px at {trained.pixel_size:g} Å/px: {out}")


def _rows_of(path: Path, dimensions: int) -> np.ndarray:
    import numpy as np

    try:
        rows = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected a text file or .npy with one z per row ({error})") from None
    rows = np.atleast_2d(rows)
    if rows.shape[1] != dimensions or not np.isfinite(rows).all():
        raise ConfigError(f"{path}: expected finite rows of {dimensions} numbers, found {rows.shape[1]} per row")
    return rows
