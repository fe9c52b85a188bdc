"""What each half's model says about images that it has never seen: likelihood, calibration, amortisation."""

from __future__ import annotations

from typing import Any

from hypermol.runs import Run
from hypermol.validation.amortisation import amortisation_gap
from hypermol.validation.calibration import calibration, standardised_errors
from hypermol.validation.held_out import gains, held_out
from hypermol.validation.inference import frozen, transferable
from hypermol.validation.pieces import half_source
from hypermol.validation.stages import Stages, key_of


def model_checks(stages: Stages, runs: tuple[Run, Run]) -> dict[str, Any]:
    """held_out (``gains``), calibration (of half 1's model) and amortisation (likewise); None where the method allows
    none: calibration and amortisation ask for an encoder with a posterior."""
    if not transferable(stages.whole.method):
        return {"held_out": None, "calibration": None, "amortisation": None}
    models = [frozen(run, stages.conduct) for run in runs]
    unseen = [half_source(stages.whole, 1 - half, stages.conduct) for half in range(2)]
    key = key_of(runs)
    stages.begin("likelihood of images never seen")
    found: dict[str, Any] = {
        "held_out": stages.kept.record(
            "held-out", key, lambda: gains([held_out(m, source) for m, source in zip(models, unseen)])
        ),
        "calibration": None,
        "amortisation": None,
    }
    if models[0].has_encoder and "z_covariance" in runs[0].estimates():
        stages.begin("is the uncertainty of z right? (images made from the model itself)")
        found["calibration"] = stages.kept.record(
            "calibration", key, lambda: calibration(*standardised_errors(models[0], unseen[0]))
        )
        stages.begin("refining z image by image (amortisation gap)")
        found["amortisation"] = stages.kept.record("amortisation", key, lambda: amortisation_gap(models[0], unseen[0]))
    return found
