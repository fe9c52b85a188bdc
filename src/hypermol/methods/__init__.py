"""One short file per published system; running one; rebuilding one from its run."""

from hypermol.methods.catalogue import METHODS, find_method
from hypermol.methods.composition import Composition, Training
from hypermol.methods.method import Method, Results
from hypermol.methods.rebuild import Trained, rebuild
from hypermol.methods.settings import configured, settings_of
from hypermol.methods.train import Conduct, resume, run_method, run_particles, train

__all__ = [
    "METHODS",
    "Composition",
    "Conduct",
    "Method",
    "Results",
    "Trained",
    "Training",
    "configured",
    "find_method",
    "rebuild",
    "resume",
    "run_method",
    "run_particles",
    "settings_of",
    "train",
]
