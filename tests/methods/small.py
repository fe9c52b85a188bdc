"""Small problems with known answers, and small settings, for the tests of methods."""

from pathlib import Path

import numpy as np

from hypermol.metrics import best_direction
from hypermol.runs import Run
from hypermol.simulation import Recipe, Truth, simulate

NETWORK = {"volume.hidden": 48, "volume.layers": 2}
ENCODER = {"conformation.hidden": 64, "conformation.layers": 1}
TRAINING = {"batch_size": 32, "learning_rate": 4e-3, "z_dim": 2, "precision": "float32"}
HINGE = {
    "cryodrgn": {**NETWORK, **ENCODER, **TRAINING, "volume.base": "consensus", "epochs": 18},
    "autodecoder": {
        **NETWORK,
        **TRAINING,
        "volume.base": "consensus",
        "epochs": 16,
        "conformation.learning_rate": 0.1,
    },
}
TINY = {"volume.hidden": 16, "volume.layers": 1, "epochs": 3, "batch_size": 10}
TINY_Z = {**TINY, "z_dim": 2}


def hinge(folder: Path, n: int, box: int, snr: float, seed: int, **more) -> Truth:
    """A hinge whose seed is none of those used elsewhere."""
    simulate(Recipe.named("hinge", n=n, box=box, snr=snr, shift_px=1.0, seed=1000 + seed, **more), folder)
    return Truth.load(folder)


def spearman(run: Run, truth: Truth) -> float:
    """|Spearman| of the best direction of z with the true angle: fitted on one half, scored on the other."""
    return best_direction(run.estimates()["z"], truth.conformation[:, 0], truth.half == 0).spearman


def same_estimates(first: Run, second: Run, tolerance: float = 0.0) -> None:
    """Assert that two runs inferred the same, to the bit or to a tolerance relative to each quantity's spread."""
    ours, theirs = first.estimates(), second.estimates()
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        bound = tolerance * float(np.abs(values).max())
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=bound, err_msg=name)
