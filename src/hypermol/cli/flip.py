"""hypermol flip"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hypermol.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hypermol.particles import Particles


def flip(
    source: Annotated[Path, Parameter(help="A map (.mrc), particles with poses (.star, .cs), or a run folder.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="What to write: a file, or a folder for a run.")],
) -> None:
    """The other hand: maps mirrored along z, poses to go with them. Images of a thin section cannot tell the hand;
    alpha helices that turn to the left in a map say that it is the wrong one. Axes of T and I3
    symmetry lie elsewhere afterwards.

    Example: `hypermol flip run -o flipped`; `hypermol flip consensus.mrc -o flipped.mrc`
    """
    from hypermol.cli.say import say
    from hypermol.maps import other_hand, read_map, write_map
    from hypermol.methods import optics_found, posed_particles, run_method
    from hypermol.particles import posed_name, read_particles
    from hypermol.runs import Run

    if out.exists():
        raise ConfigError(f"{out} is there already; name another")
    if source.suffix in (".star", ".cs"):
        _write_poses(read_particles(source, require_images=False), out)
        say(f"poses of the other hand: {out}")
    elif source.is_dir():
        run = Run.open(source)
        particles = posed_particles(run)
        _refuse_tilts(particles)
        for path in sorted(run.volumes.glob("*.mrc")):
            map_, pixel_size = read_map(path)
            write_map(out / "volumes" / path.name, other_hand(map_), pixel_size)
        if particles.has_poses:
            found = run.estimates() if (run.path / "estimates.npz").exists() else {}
            _write_poses(particles, out / posed_name(particles), **optics_found(run_method(run), found))
        say(f"maps and poses of the other hand: {out}")
    else:
        map_, pixel_size = read_map(source)
        write_map(out, other_hand(map_), pixel_size)
        say(f"the other hand: {out}")


def _refuse_tilts(particles: Particles) -> None:
    if particles.tilt is not None:
        raise ConfigError(f"{particles.path}: images at several tilts fix the hand, and the other one contradicts them")


def _write_poses(particles: Particles, out: Path, **optics: NDArray | None) -> None:
    import torch

    from hypermol.imaging import mirror
    from hypermol.particles import write_posed

    _refuse_tilts(particles)
    if particles.rotation is None or particles.shift is None:
        raise ConfigError(f"{particles.path} has no poses to flip")
    write_posed(particles, mirror(torch.from_numpy(particles.rotation)).numpy(), particles.shift, out, **optics)
