"""How far a result can be trusted: figures against a known truth."""

from hypermol.validation.evaluate import evaluate_run

__all__ = ["evaluate_run"]
