"""What a run's config says of a job, written and read again: method, particles, preparation, versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hypermol import __version__
from hypermol.engine import RunStore, State
from hypermol.errors import ConfigError, DataError
from hypermol.methods.catalogue import METHODS
from hypermol.methods.given import Given
from hypermol.particles import Particles, Preparation, optics_of
from hypermol.runs import Run
from hypermol.shell import quoted
from hypermol.specs import from_dict, to_dict


def run_config(seed: int, method: Any, given: dict[str, Any], preparation: Preparation) -> dict[str, Any]:
    """The content of a run's config.toml; ``given`` describes the particles."""
    return {
        "seed": seed,
        "method": {"room": "method", **to_dict(method)},
        "input": given,
        "preparation": {k: v for k, v in dataclasses.asdict(preparation).items() if v is not None},
        "versions": {"hypermol": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }


def run_method(run: Run) -> Any:
    """The method of a run, as configured."""
    METHODS.built_in()  # registers the kinds of this folder
    data = dict(run.config["method"])
    return from_dict(str(data.pop("room")), data)


def finished_state(run: Run) -> State:
    """What a run ended with, on the CPU. Raises ConfigError where it has not finished."""
    state = RunStore(run).latest() if run.finished else None
    if state is None:
        raise ConfigError(f"{run.path} has not finished; continue it with `hypermol train --resume {quoted(run.path)}`")
    return state


def run_preparation(run: Run) -> Preparation:
    """How the images of a run were prepared."""
    return Preparation(**run.config["preparation"])


def run_particles(run: Run) -> Particles:
    """The particles of a run, read again. Raises ConfigError when a file has changed or has gone."""
    config = run.config["input"]
    given = Given.in_config(config)
    given.require_unchanged(config["fingerprint"], run.path)
    try:
        return given.read()
    except DataError as error:  # they could be read when the run was started
        moved = f"if the images have been moved: `hypermol relocate {quoted(run.path)} --datadir FOLDER`"
        raise type(error)(f"{error}\n{moved}") from None


def finds_poses(method: Any) -> bool:
    """Whether the poses in a run's estimates are the method's own."""
    return bool(getattr(method, "finds_poses", not method.needs_poses))


def optics_found(method: Any, estimates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
    """Contrast and defocus that go into a particle file (``write_posed``): of methods that refine them for others."""
    return optics_of(estimates) if getattr(method, "writes_optics", False) else {}


def particles_left(run: Run) -> Particles:
    """The particle file that a run wrote with the poses it found, as a file; else the one that it was given."""
    given = Given.in_config(run.config["input"])
    written = run.path / f"particles{given.particles.suffix}"
    if not finds_poses(run_method(run)) or not written.exists():
        return run_particles(run)
    folder = given.datadir or given.particles.parent
    return dataclasses.replace(given, particles=written, datadir=folder, poses=None, images=None).read()


def posed_particles(run: Run) -> Particles:
    """The particles that a run has estimates of, at the poses that it worked with: those of the file, or its own."""
    particles = run_particles(run)
    estimates = run.estimates() if (run.path / "estimates.npz").exists() else {}
    if "particle" in estimates and len(estimates["particle"]) < particles.count:  # a run on one half
        particles = particles.subset(estimates["particle"])
    if not finds_poses(run_method(run)) or "rotation" not in estimates:
        return particles
    rotation, shift = (estimates[name].astype(np.float64) for name in ("rotation", "shift"))
    return dataclasses.replace(particles, rotation=rotation, shift=shift)
