"""hypermol check"""

from __future__ import annotations

from hypermol.cli.options import DataDir, Particles, Passthrough


def check(particles: Particles, /, *, datadir: DataDir = None, passthrough: Passthrough = ()) -> None:
    """Look the data over before spending hours: counts, poses, CTF, contrast sign, NaN, headers.

    Example: `hypermol check particles.star`
    """
    from hypermol.errors import DataError
    from hypermol.particles import check_particles, read_particles

    found = read_particles(particles, datadir=datadir, passthrough=passthrough)
    result = check_particles(found)
    for line in result.lines():
        print(line)
    if result.problems:
        raise DataError("\n".join(result.problems))
