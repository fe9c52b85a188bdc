"""Particle images with a known truth: molecules, motions, exact projections, and the truth to measure against.

truth = Truth.load(simulate(Recipe.named("hinge", n=5000, box=32, snr=0.5), "data"))
truth.map(7)                    # the exact map of particle 7
truth.posterior_mean().mean     # what the images hold about the conformation
order_scores(truth, z)          # what an answer is worth
"""

from hypermol.simulation.bound import Posterior, log_likelihood, posterior_mean, state_posterior
from hypermol.simulation.defocus_bound import DefocusBound, defocus_bound
from hypermol.simulation.family import family_figures, true_family
from hypermol.simulation.frame_files import read_frames, write_atoms
from hypermol.simulation.map_scores import (
    AT_Z,
    GAIN,
    GAIN_HOW,
    MEAN,
    MEAN_OF_GAINS,
    MEAN_OF_GAINS_HOW,
    MOVING,
    WHOLE,
    gain_of,
    map_curves,
    mean_of_gains,
    truth_masks,
)
from hypermol.simulation.model_files import read_model, write_models
from hypermol.simulation.models import Atoms, HingedModel, hinge_atoms
from hypermol.simulation.motions import Arrangements, Motion, Turn, Turns
from hypermol.simulation.own_frames import own_frame_figures
from hypermol.simulation.pose_bound import PoseBound, pose_bound
from hypermol.simulation.project import Camera, padded_box, project_gaussians
from hypermol.simulation.pseudo_protein import PseudoProtein, pseudo_protein
from hypermol.simulation.rasterise import rasterise_gaussians
from hypermol.simulation.recipe import MOTIONS, PAPER, Recipe, check_recipe
from hypermol.simulation.scores import (
    CLUSTERS,
    CLUSTERS_HOW,
    COVERAGE_HOW,
    DIRECTION,
    ORDER_HOW,
    OWN_CLASSES,
    OWN_CLASSES_HOW,
    POSES_HOW,
    ROTATION,
    SHIFT,
    STATES_HOW,
    Knowable,
    as_order,
    as_states,
    class_scores,
    class_values,
    coverage_score,
    knowable,
    order_limits,
    order_scores,
    pose_values,
    state_limit,
    state_scores,
)
from hypermol.simulation.simulate import simulate
from hypermol.simulation.systems import Molecule, build_molecule
from hypermol.simulation.transitions import Transition
from hypermol.simulation.truth import Truth
