"""hypermol expand"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.errors import ConfigError


def expand(
    particles: Annotated[Path, Parameter(help="Particles with poses, .star or .cs.")],
    /,
    *,
    symmetry: Annotated[str, Parameter(help="Point group, axes as in RELION: C4, D2, T, O, I …")],
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The file to write, as the input was.")],
) -> None:
    """Symmetry expansion: each particle once in every equivalent pose, so that motion that breaks the symmetry can be
    looked for in each subunit by itself (`hypermol train OUT --set mask=SUBUNIT.mrc`).

    Example: `hypermol expand particles.star --symmetry D2 -o expanded.star`
    """
    from hypermol.cli.say import say
    from hypermol.imaging import symmetry_rotations
    from hypermol.particles import read_particles, write_posed

    if out.exists():
        raise ConfigError(f"{out} is there already; name another")
    group = symmetry_rotations(symmetry)
    if len(group) == 1:
        raise ConfigError(f"symmetry {symmetry!r} has no other pose to add")
    found = read_particles(particles, require_images=False)
    if found.tilt is not None or "rlnTomoParticleName" in getattr(found.document, "columns", ()):
        raise ConfigError(
            f"{particles} holds tilt series, whose images are told apart by name: they cannot be repeated"
        )
    if found.rotation is None or found.shift is None:
        raise ConfigError(f"{particles} has no poses to expand; refine it first (`hypermol train -m refine`)")
    write_posed(found, found.rotation, found.shift, out, group.numpy())
    say(f"{len(group)} × {found.count} particles: {out}")
