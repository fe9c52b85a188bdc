"""hypermol relocate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.options import RunFolder


def relocate(
    run: RunFolder,
    /,
    *,
    particles: Annotated[Path | None, Parameter(help="The .star, .cs or .mrcs file, where it is now.")] = None,
    datadir: Annotated[Path | None, Parameter(help="The folder from which the names of the stacks count.")] = None,
    passthrough: Annotated[list[Path] | None, Parameter(help="The passthrough .cs files, where they are.")] = None,
    poses: Annotated[Path | None, Parameter(help="The cryoDRGN pose pickle, where it is now.")] = None,
    ctf: Annotated[Path | None, Parameter(help="The cryoDRGN CTF pickle, where it is now.")] = None,
) -> None:
    """Tell a run where its particle files are now, after a project was moved. They must be the same files.

    Example: `hypermol relocate run --particles /new/place/particles.star`
    """
    from hypermol.cli.say import say
    from hypermol.methods import relocate as move
    from hypermol.runs import Run

    found = move(Run.open(run), particles, datadir, tuple(passthrough or ()), poses, ctf)
    say(f"{run}: {found.count} particles, read from {found.path}")
