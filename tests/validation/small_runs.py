"""Small runs to be validated: a hinge or the same molecule held rigid, and settings that train in seconds."""

from pathlib import Path

from hypermol.methods import Conduct, configured, find_method
from hypermol.methods.given import Given
from hypermol.runs import Run
from hypermol.simulation import Recipe, simulate
from hypermol.specs import to_dict

SETTINGS = {
    "volume.hidden": 32,
    "volume.layers": 2,
    "volume.base": "consensus",
    "conformation.hidden": 48,
    "conformation.layers": 1,
    "batch_size": 32,
    "learning_rate": 4e-3,
    "z_dim": 2,
    "precision": "float32",
    "epochs": 8,
}
TINY = {**SETTINGS, "volume.hidden": 16, "volume.layers": 1, "conformation.hidden": 16, "epochs": 2, "batch_size": 16}
RIGID = (0.0, 0.001)
QUIET = Conduct(device="cpu")


def molecule(folder: Path, moving: bool, seed: int, n: int = 2000, box: int = 32, snr: float = 0.5) -> Path:
    """The star file of a simulated hinge, or of the same molecule with its hinge held at 0°."""
    held = {} if moving else {"range_deg": RIGID}
    simulate(Recipe.named("hinge", n=n, box=box, snr=snr, shift_px=1.0, seed=3000 + seed, **held), folder)
    return folder / "particles.star"


def untrained(star: Path, folder: Path, settings: dict, method: str = "cryodrgn", seed: int = 0) -> Run:
    """A run that has not begun: validation needs its particles, method and settings only."""
    given, chosen = Given.at(star), configured(find_method(method), settings)
    config = {
        "seed": seed,
        "method": {"room": "method", **to_dict(chosen)},
        "input": given.to_config(given.read()),
        "preparation": {},
        "versions": {},
    }
    return Run.create(folder, config)
