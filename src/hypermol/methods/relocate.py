"""A run told where its particles are now: projects move, and their files with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hypermol.methods.given import Given
from hypermol.particles import Particles
from hypermol.runs import Run


def relocate(
    run: Run,
    particles: Path | str | None = None,
    datadir: Path | str | None = None,
    passthrough: tuple[Path | str, ...] = (),
    poses: Path | str | None = None,
    ctf: Path | str | None = None,
) -> Particles:
    """Put the files' new places into the run's config; what is not given stays as it is. Returns the particles.

    Raises ConfigError where a file or the images are not those that the run was started with, DataError where they
    cannot be read; nothing is changed then.
    """
    config = run.config
    known = config["input"]
    old, new = Given.in_config(known), Given.at(particles or known["particles"], datadir, passthrough, poses, ctf)
    kept = {name: getattr(new, name) or getattr(old, name) for name in ("datadir", "passthrough", "poses", "ctf")}
    given = dataclasses.replace(old, particles=new.particles, **kept)
    given.require_unchanged(known["fingerprint"], run.path)
    found = given.read()
    run.rewrite_config({**config, "input": {**known, **given.to_config(found)}})
    return found
