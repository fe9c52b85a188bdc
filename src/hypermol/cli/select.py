"""hypermol select"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.numbers import numbers
from hypermol.errors import ConfigError


def select(
    run: Annotated[Path, Parameter(help="A run folder.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The file to write, .star or .cs as the input was.")],
    cluster: Annotated[str | None, Parameter(help="Clusters of `hypermol analyze`, for example 3 or 0,2,5-7.")] = None,
    particles: Annotated[str | None, Parameter(help="Particle numbers from 0, for example 0-99,250.")] = None,
    density: Annotated[bool, Parameter(help="Take --cluster from the density clusters instead of k-means.")] = False,
    invert: Annotated[bool, Parameter(help="Keep all the others instead.")] = False,
) -> None:
    """Write the original particle file back with fewer rows, every column in place.

    Example: `hypermol select run --cluster 3 -o cluster3.star`
    """
    import numpy as np

    from hypermol.landscape import load_landscape
    from hypermol.methods import run_particles
    from hypermol.particles import write_selection
    from hypermol.runs import Run

    opened = Run.open(run)
    found = run_particles(opened)
    if (cluster is None) == (particles is None):
        raise ConfigError("give either --cluster or --particles")
    keep = np.zeros(found.count, dtype=bool)
    if particles is not None:
        keep[numbers(particles, found.count, "particle")] = True
    elif cluster is not None:
        landscape = load_landscape(opened.landscape)
        clusters = landscape.density if density else landscape.kmeans
        keep[np.isin(clusters.label, numbers(cluster, clusters.count, "cluster"))] = True
    indices = np.flatnonzero(~keep if invert else keep)
    if len(indices) == 0:
        raise ConfigError("this selection keeps no particle at all; nothing was written")
    write_selection(found, indices, out)
    print(f"{len(indices)} of {found.count} particles: {out}")
