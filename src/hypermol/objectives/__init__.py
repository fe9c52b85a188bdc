"""What is optimised."""

from hypermol.objectives.independence import PoseCritic
from hypermol.objectives.likelihood import EvidenceLowerBound, negative_log_likelihood
from hypermol.objectives.predict import predicted_images
from hypermol.objectives.symmetrised import SymmetrisedLikelihood

__all__ = [
    "EvidenceLowerBound",
    "PoseCritic",
    "SymmetrisedLikelihood",
    "negative_log_likelihood",
    "predicted_images",
]
