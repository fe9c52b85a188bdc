"""Figures: a number with its unit, how it was obtained, and which way is better."""

from __future__ import annotations

from typing import Any

import numpy as np

Figures = dict[str, dict[str, Any]]

FSC_AT_Z = "FSC of maps at z"
STATES_APART = "states told apart"


def figure(value: float, how: str, unit: str = "", better: str = "higher") -> dict[str, Any]:
    """One figure; ``better`` is "higher" or "lower". A value that is not finite becomes None."""
    return {"value": float(value) if np.isfinite(value) else None, "unit": unit, "how": how, "better": better}


def order_name(kind: str, axis: int, dim: int) -> str:
    """What the rank correlation or R² with a true coordinate is called."""
    return kind if dim == 1 else f"{kind} {axis + 1}"


def area_under_roc(score: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive [n] bool scores higher than a negative, ties half (Mann & Whitney 1947): 1 apart, 0.5
    nothing; NaN where there are none of either."""
    from scipy.stats import rankdata

    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return float("nan")
    return float((rankdata(score)[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
