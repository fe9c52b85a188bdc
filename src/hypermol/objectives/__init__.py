"""What is optimised."""

from hypermol.objectives.likelihood import EvidenceLowerBound, negative_log_likelihood
from hypermol.objectives.predict import predicted_images

__all__ = ["EvidenceLowerBound", "negative_log_likelihood", "predicted_images"]
