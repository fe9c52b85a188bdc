"""A picture of z in the plane that keeps neighbours together (UMAP), when the optional package is there."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass

import numpy as np

from hypermol.landscape.latent import Latent, subsample
from hypermol.shapes import Float

EMBEDDED = 10_000
NEIGHBOURS = 15


@dataclass(frozen=True)
class Embedding:
    """``coordinates`` [N, 2] (no unit; NaN where a particle was not embedded) or None; ``notes`` say why or how."""

    coordinates: Float[np.ndarray, "N 2"] | None
    notes: tuple[str, ...] = ()


def embed(latent: Latent, seed: int = 0, limit: int = EMBEDDED) -> Embedding:
    """UMAP of z (McInnes et al. 2018, 15 neighbours) for at most ``limit`` particles.

    Without the package, with fewer than three dimensions (nothing to flatten) or too few particles, the
    coordinates are None and a sentence says so. Distances between far groups carry no meaning.
    """
    if latent.dimensions < 3:
        return Embedding(None, (f"No UMAP: z has {latent.dimensions} dimension(s) and is shown as it is.",))
    if latent.size <= 2 * NEIGHBOURS or latent.constant:
        return Embedding(None, (f"No UMAP: it needs more than {2 * NEIGHBOURS} particles with different z.",))
    if importlib.util.find_spec("umap") is None:
        return Embedding(None, ("No UMAP: umap-learn is not installed (pip install 'hypermol[umap]').",))
    chosen = subsample(latent.size, limit, seed)
    flat = np.full((latent.size, 2), np.nan, dtype=np.float32)
    flat[chosen] = _umap(latent.z[chosen], seed)
    note = () if chosen.size == latent.size else (f"UMAP of {chosen.size:,} of {latent.size:,} particles.",)
    return Embedding(latent.scatter(flat), note)


def _umap(z: Float[np.ndarray, "m d"], seed: int) -> Float[np.ndarray, "m 2"]:
    with warnings.catch_warnings():
        # the package warns on import and about its own single thread when a seed is given
        warnings.simplefilter("ignore")
        import umap

        model = umap.UMAP(n_neighbors=NEIGHBOURS, min_dist=0.1, random_state=seed, n_jobs=1)
        return model.fit_transform(z.astype(np.float32))
