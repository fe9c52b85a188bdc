"""Estimators that answer for pose and z together: poses with z integrated out, encoders, Markov chains over both."""

from hypermol.joint.chains import MarkovChains, first_lengths, from_rows, to_rows, tuned
from hypermol.joint.coefficients import CoefficientPosterior, drawn_powers, normal_equations
from hypermol.joint.encoder import Z_DRAWN, Z_HEAD, AmortisedEncoder, EncoderNetwork
from hypermol.joint.hamiltonian import Hamiltonian
from hypermol.joint.linear import LinearImages
from hypermol.joint.metropolis import Metropolis
from hypermol.joint.polished import PolishedEncoder
from hypermol.joint.states import Prior, States
from hypermol.joint.symmetrised import Symmetrised, copies_of
from hypermol.joint.targets import BasisTarget, Target, VolumeTarget, plane_of
from hypermol.joint.together import Together, Way

__all__ = [
    "Z_DRAWN",
    "Z_HEAD",
    "AmortisedEncoder",
    "BasisTarget",
    "CoefficientPosterior",
    "EncoderNetwork",
    "Hamiltonian",
    "LinearImages",
    "MarkovChains",
    "Metropolis",
    "PolishedEncoder",
    "Prior",
    "States",
    "Symmetrised",
    "Target",
    "Together",
    "VolumeTarget",
    "Way",
    "copies_of",
    "drawn_powers",
    "first_lengths",
    "from_rows",
    "normal_equations",
    "plane_of",
    "to_rows",
    "tuned",
]
