"""The landscape of a finished run: its z, and what z should not know, read from the run and its particles."""

from __future__ import annotations

import numpy as np

from hypermol.errors import ConfigError
from hypermol.landscape.analysis import Landscape, LandscapeSettings, analyze
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
    mean = estimates.get("z_normal")
    return analyze(estimates["z"], **columns, settings=settings, covariance=covariance, posterior_mean=mean)
