"""hypermol select"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hypermol.cli.numbers import numbers
from hypermol.cli.options import RunFolder
from hypermol.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from hypermol.runs import Run


def select(
    run: RunFolder,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The file to write, .star or .cs as the input was.")],
    cluster: Annotated[str | None, Parameter(help="Clusters of `hypermol analyze`: 3 or 0,2,5-7.")] = None,
    particles: Annotated[str | None, Parameter(help="Particle numbers from 0: 0-99,250.")] = None,
    outliers: Annotated[
        bool, Parameter(help="What `hypermol infer` found unlike its run's own.", negative=(), show_default=False)
    ] = False,
    density: Annotated[
        bool,
        Parameter(help="Take --cluster from the density clusters, not k-means.", negative=(), show_default=False),
    ] = False,
    invert: Annotated[bool, Parameter(help="Keep all the others instead.", negative=(), show_default=False)] = False,
) -> None:
    """Write the original particle file back with fewer rows, every column in place.

    Example: `hypermol select run --cluster 3 -o cluster3.star`
    """
    import numpy as np

    from hypermol.cli.say import say
    from hypermol.methods import particles_left
    from hypermol.particles import write_selection
    from hypermol.runs import Run

    if (cluster is not None) + (particles is not None) + outliers != 1:
        raise ConfigError("give one of --cluster, --particles and --outliers")
    if density and cluster is None:
        raise ConfigError("--density goes with --cluster")
    opened = Run.open(run)
    found = particles_left(opened)  # a run that finds poses has written them
    keep = np.zeros(found.count, dtype=bool)
    if particles is not None:
        keep[numbers(particles, found.count, "particle")] = True
    elif outliers:
        keep |= _outliers(opened)
    else:
        keep |= _in_clusters(opened, str(cluster), density)
    indices = np.flatnonzero(~keep if invert else keep)
    if len(indices) == 0:
        raise ConfigError("this selection keeps no particle at all; nothing was written")
    write_selection(found, indices, out)
    say(f"{len(indices)} of {found.count} particles: {out}")
    if found.document is None:
        say("a stack holds no poses and no CTF: those of a .pkl file are not in it")
    home = opened.config["input"].get("datadir") or Path(opened.config["input"]["particles"]).parent
    if found.document is not None and out.resolve().parent != Path(home):
        say(f"the image names in it still count from {home}: read it with --datadir {home}, or move it there")


def _outliers(run: Run) -> np.ndarray:
    """Which particles were found unlike those that a run was trained on, [N] boolean."""
    found = run.estimates()
    if "outlier" not in found:
        raise ConfigError(f"{run.path}: no particle was compared with those of another run (`hypermol infer` does)")
    return found["outlier"] > 0


def _in_clusters(run: Run, text: str, density: bool) -> np.ndarray:
    """Which particles are in the clusters, [N] boolean."""
    import numpy as np

    from hypermol.landscape import load_landscape

    landscape = load_landscape(run.landscape)
    clusters = landscape.density if density else landscape.kmeans
    if clusters.count == 0:
        raise ConfigError(f"the landscape of {run.path} has no density clusters; leave --density out for k-means")
    return np.isin(clusters.label, numbers(text, clusters.count, "cluster"))
