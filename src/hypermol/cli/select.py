"""hypermol select"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hypermol.cli.numbers import interval, numbers
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
    classes: Annotated[
        str | None, Parameter(name="--class", help="Classes of `classify` or `classify-abinitio`, from 1: 2 or 1,3.")
    ] = None,
    particles: Annotated[str | None, Parameter(help="Particle numbers from 0: 0-99,250.")] = None,
    within: Annotated[
        list[str] | None,
        Parameter(
            help="Where a number of each particle lies: pc1=-1:0.5, umap2=:3, contrast=0.8:, class-2=0.9: (the "
            "probability of that class); may be repeated.",
            negative=(),
        ),
    ] = None,
    outliers: Annotated[
        bool, Parameter(help="What `hypermol infer` found unlike its run's own.", negative=(), show_default=False)
    ] = False,
    density: Annotated[
        bool,
        Parameter(help="Take --cluster from the density clusters, not k-means.", negative=(), show_default=False),
    ] = False,
    invert: Annotated[bool, Parameter(help="Keep all the others instead.", negative=(), show_default=False)] = False,
) -> None:
    """Write the original particle file back with fewer rows, every column in place. Kept is what meets every
    condition that is given.

    Example: `hypermol select run --cluster 3 -o cluster3.star`; `hypermol select run --within pc1=:-1 -o one-end.star`
    """
    import numpy as np

    from hypermol.cli.say import say
    from hypermol.methods import particles_left
    from hypermol.particles import write_selection
    from hypermol.runs import Run

    if cluster is None and classes is None and particles is None and not within and not outliers:
        raise ConfigError("give at least one of --cluster, --class, --particles, --within and --outliers")
    if density and cluster is None:
        raise ConfigError("--density goes with --cluster")
    opened = Run.open(run)
    found = particles_left(opened)  # a run that finds poses has written them
    keep = np.ones(found.count, dtype=bool)
    if particles is not None:
        keep &= np.isin(np.arange(found.count), numbers(particles, found.count, "particle"))
    if outliers:
        keep &= _outliers(opened)
    if classes is not None:
        keep &= _in_classes(opened, classes)
    if cluster is not None:
        keep &= _in_clusters(opened, cluster, density)
    if within:
        keep &= _within(opened, within)
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


def _in_classes(run: Run, text: str) -> np.ndarray:
    """Which particles have one of the classes as their most probable, [N] boolean."""
    import numpy as np

    known = run.estimates()
    if "class" not in known:
        raise ConfigError(f"{run.path}: its method has no classes; --cluster takes those of `hypermol analyze`")
    return np.isin(known["class"], numbers(text, known["class_probability"].shape[1], "class", first=1))


def _in_clusters(run: Run, text: str, density: bool) -> np.ndarray:
    """Which particles are in the clusters, [N] boolean."""
    import numpy as np

    from hypermol.landscape import load_landscape

    landscape = load_landscape(run.landscape)
    if landscape.clusters.of_classes:
        raise ConfigError(f"{run.path} has classes and no clusters: give --class")
    clusters = landscape.density if density else landscape.clusters
    if clusters.count == 0:
        raise ConfigError(f"the landscape of {run.path} has no density clusters; leave --density out for k-means")
    return np.isin(clusters.label, numbers(text, clusters.count, "cluster"))


def _within(run: Run, conditions: list[str]) -> np.ndarray:
    """Which particles have a number between two others, by every condition, [N] boolean; those that have no such
    number do not."""
    import numpy as np

    known, inside = _numbers_of_particles(run), []
    for name, low, high in map(interval, conditions):
        if name not in known:
            more = "" if run.landscape.exists() else "; `hypermol analyze` adds pc1, pc2, … and umap1, umap2"
            raise ConfigError(f"{run.path} has no {name!r} per particle, but {', '.join(known)}{more}")
        inside.append((known[name] >= low) & (known[name] <= high))
    return np.all(inside, axis=0)


def _numbers_of_particles(run: Run) -> dict[str, np.ndarray]:
    """What is known of each particle, [N] each, by the names of landscape/particles.csv and of the run's estimates."""
    from hypermol.landscape import load_landscape

    found: dict[str, np.ndarray] = {}
    for name, rows in run.estimates().items():
        if name == "z":
            found |= {f"z{number + 1}": column for number, column in enumerate(rows.T)}
        elif name == "class_probability":
            found |= {f"class-{number + 1}": column for number, column in enumerate(rows.T)}
        elif rows.ndim == 1 and name != "class":  # a number of its own has no order; --class takes it
            found[name] = rows
    if run.landscape.exists():
        landscape = load_landscape(run.landscape)
        found |= {f"pc{number + 1}": column for number, column in enumerate(landscape.coordinates.T)}
        if landscape.embedding is not None:
            found |= {f"umap{number + 1}": column for number, column in enumerate(landscape.embedding.T)}
    return found
