"""The landscape of a finished run: its z, and what z should not know, read from the run and its particles."""

from __future__ import annotations

import numpy as np

from hypermol.errors import ConfigError
from hypermol.landscape.analysis import Landscape, LandscapeSettings, analyze
from hypermol.maps import read_map
from hypermol.reconstruction import CURVED
from hypermol.runs import Run


def landscape_of(run: Run, settings: LandscapeSettings | None = None) -> Landscape:
    """Analyse a run's z. Raises ConfigError where the method infers no z."""
    # not above: the functions on arrays need no method, engine or volume
    from hypermol.methods import run_particles

    estimates = run.estimates()
    if "z" not in estimates:
        raise ConfigError(
            f"{run.path}: one map for all particles (the method has no latent z, or it found no motion, which its "
            "report says), so there is no landscape"
        )
    particles = run_particles(run)
    first = particles.first_image
    defocus = None if particles.ctf is None else particles.ctf.mean_defocus.numpy()[first]
    micrograph = None if particles.micrograph is None else np.array(particles.micrograph, dtype=str)[first]
    rotation = estimates.get("rotation")
    columns = {"rotation": rotation, "defocus": defocus, "micrograph": micrograph}
    columns["contrast"] = estimates.get("contrast")
    covariance = estimates.get("z_normal_covariance", estimates.get("z_covariance"))
    posterior = {"covariance": covariance, "posterior_mean": estimates.get("z_normal")}
    if settings is not None and settings.clusters > max(len(estimates["z"]), LandscapeSettings.clusters):
        raise ConfigError(f"{settings.clusters} clusters were asked for, of {len(estimates['z'])} particles")
    amplitude = _amplitude(run, estimates["z"].shape[1])
    classes = estimates["class_probability"] if "class" in estimates else None
    bend = run.metrics().get("bend", {}).get("value", 0.0)
    return analyze(
        estimates["z"],
        **columns,
        settings=settings,
        **posterior,
        amplitude=amplitude,
        class_probability=classes,
        curved=bend > CURVED,
    )


def _amplitude(run: Run, dimensions: int) -> np.ndarray | None:
    """‖U_c‖ of a method that moves the density linearly, one map per coordinate of z; None for any other."""
    paths = [run.volumes / f"component-{number}.mrc" for number in range(1, dimensions + 1)]
    if not all(path.exists() for path in paths):
        return None
    return np.array([float(read_map(path)[0].double().norm()) for path in paths])
