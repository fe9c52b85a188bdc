"""What an inference says for people: how many particles are unlike the run's own, and whether it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from hypermol.imaging import geodesic_angle_deg
from hypermol.methods.unlike import CHANCE, REASONS

OTHER_SCALE = 0.15
Rows = Mapping[str, np.ndarray]


def sentences(rows: Rows, judged: Rows, own: Rows, known: Rows) -> list[str]:
    """rows, judged: of the particles looked at; own: of some of the run's own, looked at in the same way; known: the
    run's estimates."""
    said = [_unlike(judged, len(own["particle"])), _scale(rows, own), _again(own, known)] if own else []
    said.append(_uncertainty(rows, known))
    return [words for words in said if words]


def _unlike(judged: Rows, compared: int) -> str:
    reason, count = judged["outlier_reason"], len(judged["outlier"])
    share = 100 * float(judged["outlier"].mean())
    parts = [f"{int((reason & 2**bit > 0).sum())} because {words}" for bit, words in enumerate(REASONS)]
    parts = [part for part in parts if not part.startswith("0 ")]
    why = f": {', '.join(parts)}" if parts else ""
    return (
        f"{int(judged['outlier'].sum())} of {count} particles ({share:.1f} %) are unlike {compared} of the run's own, "
        f"where {100 * CHANCE:.0f} % would be by chance{why}"
    )


def _scale(rows: Rows, own: Rows) -> str | None:
    """Where the whole set holds more or less signal than the run's."""
    ratio = float(np.median(rows["fit"]) / max(float(np.median(own["fit"])), 1e-6))
    if abs(ratio - 1) < OTHER_SCALE:
        return None
    return (
        f"half of these images hold less than {ratio:.2f} times the signal that is usual among the run's own, relative "
        "to the noise: other ice or dose, poses that are less exact, or many that are no such particle; z is inferred "
        "as if the signal were the same"
    )


def _again(own: Rows, known: Rows) -> str | None:
    """How the run's own particles came out, compared with what the run says of them: pose and z."""
    parts, chosen = [], own["particle"]
    if "rotation" in own and "rotation" in known:
        pair = (torch.from_numpy(np.asarray(r, dtype=np.float64)) for r in (own["rotation"], known["rotation"][chosen]))
        angle = geodesic_angle_deg(*pair).numpy()
        parts.append(f"their poses differ from the run's by a median of {np.median(angle):.2g}°")
    if "z" in own and "z" in known and own["z"].shape[1]:
        spread = known["z"].std(0)
        kept = spread > 1e-6
        apart = np.sqrt((((own["z"] - known["z"][chosen])[:, kept] / spread[kept]) ** 2).mean(1))
        parts.append(f"their z by a median of {np.median(apart):.2g} of its spread")
    return f"the run's own particles, looked at again: {'; '.join(parts)}" if parts else None


def _uncertainty(rows: Rows, known: Rows) -> str | None:
    if "z_covariance" not in rows or "z" not in known:
        return None
    spread = known["z"].std(0)
    kept = spread > 1e-6
    if not kept.any():
        return None
    variance = np.diagonal(rows["z_covariance"], axis1=1, axis2=2).clip(min=0)
    own = np.sqrt(variance)[:, kept] / spread[kept]
    return f"z is known to {np.median(own):.2g} of the spread of the run's own (median over particles and coordinates)"
