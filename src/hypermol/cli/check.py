"""hypermol check"""

from __future__ import annotations

from hypermol.cli.options import Ctf, DataDir, Particles, Passthrough, PixelSize, Poses


def check(
    particles: Particles,
    /,
    *,
    datadir: DataDir = None,
    passthrough: Passthrough = (),
    poses: Poses = None,
    ctf: Ctf = None,
    pixel_size: PixelSize = None,
) -> None:
    """Look the data over before spending hours: counts, poses, CTF, contrast sign, NaN, headers.

    Exit status 0 when the set can be used (also without poses), 2 when something is wrong with it.

    Example: `hypermol check particles.star`
    """
    from hypermol.cli.progress import Steps
    from hypermol.cli.say import say
    from hypermol.particles import check_particles, read_particles

    found = read_particles(particles, datadir, passthrough, poses, ctf, pixel_size=pixel_size)
    result = check_particles(found, progress=Steps("reading images"))
    for line in (*result.facts, *(f"note: {note}" for note in result.notes)):
        say(line)
    result.raise_if_bad()
