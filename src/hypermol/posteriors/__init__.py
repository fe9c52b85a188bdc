"""The vocabulary of what is known of a pose or a conformation; priors to draw from."""

from hypermol.posteriors.gaussian import standard_normal_divergence
from hypermol.posteriors.hypotheses import Hypotheses, diagonal_covariance

__all__ = ["Hypotheses", "diagonal_covariance", "standard_normal_divergence"]
