"""The particles that a job is given: which files, and how they are read. Kept in the run, to be read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypermol.errors import ConfigError
from hypermol.particles import Particles, images_fingerprint, read_particles
from hypermol.runs import fingerprint
from hypermol.shell import quoted

_PLACES = ("particles", "datadir", "passthrough", "poses", "ctf")


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """The [input] of a run's config.toml but for where the files are: equal for the same data, moved or not."""
    return {name: value for name, value in config.items() if name not in _PLACES}


@dataclasses.dataclass(frozen=True)
class Given:
    """A particle file with what ``read_particles`` may be told besides. Paths are absolute.

    ``images``: the ``images_fingerprint`` that must be found; None where it is not known, as in older runs.
    """

    particles: Path
    datadir: Path | None = None
    passthrough: tuple[Path, ...] = ()
    poses: Path | None = None
    ctf: Path | None = None
    pixel_size: float | None = None
    images: str | None = None

    @classmethod
    def at(
        cls,
        particles: Path | str,
        datadir: Path | str | None = None,
        passthrough: tuple[Path | str, ...] = (),
        poses: Path | str | None = None,
        ctf: Path | str | None = None,
        pixel_size: float | None = None,
    ) -> Given:
        """From paths that count from the working directory."""
        folder, pose, transfer = (None if p is None else Path(p).resolve() for p in (datadir, poses, ctf))
        others = tuple(Path(p).resolve() for p in passthrough)
        return cls(Path(particles).resolve(), folder, others, pose, transfer, pixel_size)

    @classmethod
    def in_config(cls, config: Mapping[str, Any]) -> Given:
        """From the [input] of a run's config.toml."""
        known = {name: config.get(name) for name in ("datadir", "poses", "ctf")}
        paths: dict[str, Any] = {name: None if value is None else Path(value) for name, value in known.items()}
        others = tuple(Path(p) for p in config["passthrough"])
        told = {"pixel_size": config.get("pixel_size_given"), "images": config.get("images_fingerprint")}
        return cls(Path(config["particles"]), passthrough=others, **told, **paths)

    def read(self) -> Particles:
        """Raises DataError for what is wrong with them, ConfigError where the images are others than ``images``."""
        particles = read_particles(
            self.particles, self.datadir, self.passthrough, self.poses, self.ctf, pixel_size=self.pixel_size
        )
        if self.images is not None and images_fingerprint(particles) != self.images:
            names = ", ".join(map(str, particles.stacks[:3])) + (", …" if len(particles.stacks) > 3 else "")
            raise ConfigError(
                f"{self.particles}: its images ({names}) are not those that the run was started with, though the "
                "metadata are; put the stacks back, or begin a new run"
            )
        return particles

    def to_config(self, particles: Particles) -> dict[str, Any]:
        """The [input] of config.toml."""
        paths = {"datadir": self.datadir, "poses": self.poses, "ctf": self.ctf}
        known: dict[str, Any] = {name: str(path) for name, path in paths.items() if path is not None}
        if self.pixel_size is not None:
            known["pixel_size_given"] = self.pixel_size
        return {
            "particles": str(self.particles),
            "fingerprint": self.fingerprint(),
            "images_fingerprint": images_fingerprint(particles),
            "passthrough": [str(path) for path in self.passthrough],
            **known,
            "count": particles.count,
            "images": particles.images,
            "box": particles.box,
            "pixel_size": particles.pixel_size,
        }

    def fingerprint(self) -> str:
        """Of all metadata files (of the images: ``images_fingerprint``)."""
        return fingerprint(*self._files)

    def require_unchanged(self, known: str, run: Path) -> None:
        """Raises ConfigError where a file has gone, or is another one than when ``run`` was started."""
        for path in self._files:
            if not path.exists():
                raise ConfigError(
                    f"{path}: the particles of {run} are no longer there; put the file back, or say where it is now: "
                    f"`hypermol relocate {quoted(run)} --particles FILE`"
                )
        if self.fingerprint() != known:
            names = " or ".join(map(str, self._files))
            raise ConfigError(f"{names} has changed since {run} was started; begin a new run")

    @property
    def _files(self) -> tuple[Path, ...]:
        return (self.particles, *self.passthrough, *(path for path in (self.poses, self.ctf) if path is not None))
