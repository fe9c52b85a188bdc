"""How far a result can be trusted: half-set validation with a verdict in words, and figures against a known truth."""

from hypermol.validation.agreement import agreement_of_runs, canonical_agreement
from hypermol.validation.evaluate import evaluate_run
from hypermol.validation.reproduction import Reproduction, reproduction
from hypermol.validation.sensitivity import main_settings
from hypermol.validation.shape_change import shape_change
from hypermol.validation.validate import Asked, validate_run

__all__ = [
    "Asked",
    "Reproduction",
    "agreement_of_runs",
    "canonical_agreement",
    "evaluate_run",
    "main_settings",
    "reproduction",
    "shape_change",
    "validate_run",
]
