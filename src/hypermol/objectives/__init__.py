"""What is optimised."""

from hypermol.objectives.critic_view import CriticView, critic_box
from hypermol.objectives.independence import PoseCritic
from hypermol.objectives.likelihood import EvidenceLowerBound, negative_log_likelihood, residual_nll, residuals
from hypermol.objectives.misfit import Misfit, all_signal, widening, with_misfit
from hypermol.objectives.predict import predicted_images
from hypermol.objectives.simulated import simulated_images
from hypermol.objectives.symmetrised import SymmetrisedLikelihood
from hypermol.objectives.wasserstein import Judged, Wasserstein

__all__ = [
    "CriticView",
    "EvidenceLowerBound",
    "Judged",
    "Misfit",
    "PoseCritic",
    "SymmetrisedLikelihood",
    "Wasserstein",
    "all_signal",
    "critic_box",
    "negative_log_likelihood",
    "predicted_images",
    "residual_nll",
    "residuals",
    "simulated_images",
    "widening",
    "with_misfit",
]
