"""One short file per published system; running one; rebuilding one from its run."""

from hypermol.methods.catalogue import METHODS, find_method
from hypermol.methods.composition import Composition, Training
from hypermol.methods.given import without_places
from hypermol.methods.inference import infer, resume_inference
from hypermol.methods.job import Conduct
from hypermol.methods.likelihood_free import LikelihoodFree
from hypermol.methods.likelihood_free_results import SHOWN
from hypermol.methods.method import Method, Results
from hypermol.methods.rebuild import Trained, rebuild
from hypermol.methods.record import (
    finds_poses,
    optics_found,
    particles_left,
    posed_particles,
    run_method,
    run_particles,
)
from hypermol.methods.relocate import relocate
from hypermol.methods.settings import Setting, configured, settings_of
from hypermol.methods.train import resume, train
from hypermol.methods.trained_encoder import TrainedEncoder, trained_encoder

__all__ = [
    "METHODS",
    "SHOWN",
    "Composition",
    "Conduct",
    "LikelihoodFree",
    "Method",
    "Results",
    "Setting",
    "Trained",
    "TrainedEncoder",
    "Training",
    "configured",
    "find_method",
    "finds_poses",
    "infer",
    "optics_found",
    "particles_left",
    "posed_particles",
    "rebuild",
    "relocate",
    "resume",
    "resume_inference",
    "run_method",
    "run_particles",
    "settings_of",
    "train",
    "trained_encoder",
    "without_places",
]
