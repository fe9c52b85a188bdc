"""hypermol volumes"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from hypermol.cli.numbers import numbers
from hypermol.cli.options import Device, RunFolder
from hypermol.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from hypermol.landscape import Trajectory
    from hypermol.methods import Trained
    from hypermol.runs import Run


def volumes(
    run: RunFolder,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The folder for the maps.")],
    particles: Annotated[
        str | None, Parameter(help="Maps at the z of these particles (from 0): 0,7,9 or 0-20.")
    ] = None,
    z: Annotated[Path | None, Parameter(help="Maps at the rows of this text file (or .npy).")] = None,
    states: Annotated[
        bool,
        Parameter(
            help="Maps at the centres of the clusters (or of the classes) of `hypermol analyze`.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    path: Annotated[
        str | None, Parameter(help="Maps along a path of `hypermol analyze`: graph, pc1, pc2 or straight.")
    ] = None,
    by: Annotated[
        Literal["decoder", "regression"],
        Parameter(help="decoder: the method's own maps. regression: from the images near each z, with half maps."),
    ] = "decoder",
    device: Device = "auto",
) -> None:
    """Maps (.mrc, true pixel size) at chosen conformations.

    Give exactly one of --particles, --z, --states, --path.

    --by regression works with the z of any method: the map is made from the particles nearest to each z, as many as are
    best at each frequency and place, with two half maps and a map of local resolution (Å) beside it.

    Example: `hypermol volumes run --particles 0,7 -o maps` writes particle-000000.mrc and particle-000007.mrc
    """
    from hypermol.cli.options import say_device
    from hypermol.cli.progress import Steps
    from hypermol.cli.say import say
    from hypermol.landscape import load_landscape
    from hypermol.methods import rebuild
    from hypermol.runs import Run

    if sum((particles is not None, z is not None, states, path is not None)) != 1:
        raise ConfigError("give exactly one of --particles, --z, --states, --path")
    opened = Run.open(run)
    trained = rebuild(opened, device)
    if particles is not None:
        names, points = _of_particles(trained, particles)
    elif z is not None:
        points = _rows_of(z, trained.latent().shape[1])
        names = [f"z-{row:03d}" for row in range(len(points))]
        _warn_of_emptiness(trained.latent(), names, points)
    elif states:
        clusters = load_landscape(opened.landscape).clusters
        points = clusters.centre
        names = [f"class-{k + 1}" if clusters.of_classes else f"state-{k:03d}" for k in range(len(points))]
    else:
        points = _path(opened, str(path)).z
        names = [f"{path}-{place:03d}" for place in range(len(points))]
    if by == "regression":
        _from_images(opened, out, names, points)
    else:
        say_device(device)
        trained.write_maps(out, names, points.astype("float32"), Steps("maps"))
    count = "1 map" if len(names) == 1 else f"{len(names)} maps"
    say(f"{count} of {trained.box} px at {trained.pixel_size:.4g} Å per pixel: {out}")


def _from_images(run: Run, out: Path, names: list[str], points: np.ndarray) -> None:
    from hypermol.cli.progress import Steps
    from hypermol.cli.say import say
    from hypermol.methods.near import NearbyImages

    nearby, progress, found = NearbyImages.of(run), Steps("maps"), []
    for done, (name, point) in enumerate(zip(names, points, strict=True), start=1):
        found.append(nearby.write(out, name, point))
        progress(done, len(names))
    for name, finest in zip(names, found, strict=True):
        say(f"{name}: {finest:.4g} Å (half maps at 0.143, in the mask; they share z)")


def _warn_of_emptiness(known: np.ndarray, names: list[str], points: np.ndarray) -> None:
    from hypermol.cli.say import say
    from hypermol.landscape import check_latent, nearest_particles

    for name, particle, distance, support in zip(names, *nearest_particles(check_latent(known), points), strict=True):
        if support > 1:
            say(
                f"{name}: no particle lies near this z; the nearest, {particle}, is {distance:.3g} away, {support:.0f} "
                "times what is usual between neighbours: its map is extrapolated, not measured"
            )


def _of_particles(trained: Trained, text: str) -> tuple[list[str], np.ndarray]:
    known = trained.latent()
    chosen = numbers(text, len(known), "particle")
    return [f"particle-{particle:06d}" for particle in chosen], known[chosen]


def _path(run: Run, name: str) -> Trajectory:
    from hypermol.landscape import load_landscape

    known = {path.name: path for path in load_landscape(run.landscape).paths}
    if name not in known:
        raise ConfigError(f"--path {name}: the landscape of {run.path} has no such path; it has: {', '.join(known)}")
    return known[name]


def _rows_of(path: Path, dimensions: int) -> np.ndarray:
    import numpy as np

    expected = f"{path}: expected one z of {dimensions} numbers per row"
    try:
        if path.suffix == ".npy":
            rows = np.load(path, allow_pickle=False)
        else:
            rows = np.array([line.split() for line in path.read_text().splitlines() if line.strip()])
        rows = np.atleast_2d(rows.astype(np.float64))
    except OSError as error:
        raise ConfigError(f"{expected}, found no readable file ({error.strerror or 'not a .npy file'})") from None
    except (ValueError, TypeError, EOFError):
        raise ConfigError(f"{expected}, found something else (words, rows of unequal length, or no .npy)") from None
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != dimensions:
        raise ConfigError(f"{expected}, found an array of {' x '.join(map(str, rows.shape))}")
    if not np.isfinite(rows).all():
        raise ConfigError(f"{expected}, found NaN or infinity in row {int(np.argmin(np.isfinite(rows).all(1))) + 1}")
    return rows
