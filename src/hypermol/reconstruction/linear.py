"""Back projection of a linear family V(k, z) = Σ_c z_c V_c(k): sums of moments, and the maps that they determine.

Of sums over N images the normal equations of each node are (Σ E[ẑẑᵀ] w C²) v = Σ E[ẑ] w C X; with ẑ = 1 this is plain
back projection. Sums are float32: a node adds about N·D/2 / D² numbers, so rounding stays near 1e-6 (tests/kernels).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.kernels import (
    grid_shape,
    grid_to_volumes,
    insert_moments,
    record_size,
    solve_moments,
    symmetrise_moments,
)
from hypermol.reconstruction.insertion import Insertion
from hypermol.reconstruction.shells import Profile, shell_means
from hypermol.shapes import Complex, Float


@dataclass(frozen=True, eq=False)
class LinearInsertion:
    """Images with the moments of their coordinates: an engine ``Deposit`` into the sums of both halves.

    images: n images of both halves; first [n, C] = E[ẑ]; second [n, C, C] = E[ẑ ẑᵀ].
    """

    images: Insertion
    first: Float[Tensor, "n c"]
    second: Float[Tensor, "n c c"]

    def finite(self) -> bool:
        """Whether every number in it is."""
        own = bool(torch.isfinite(self.first).all()) and bool(torch.isfinite(self.second).all())
        return own and self.images.finite()

    def add_to(self, total: Tensor | None) -> Tensor:
        """Add to ``total`` [2, oD, oD, oD/2 + 1, F] float32, in place, or to new sums; and return it."""
        images, channels = self.images, self.first.shape[1]
        box, oversampling = images.lattice.box, images.oversampling
        if total is None:
            shape = (2, *grid_shape(box, oversampling), record_size(channels))
            total = torch.zeros(shape, dtype=torch.float32, device=self.first.device)
        rows, columns = torch.tril_indices(channels, channels, device=self.second.device)
        second = self.second[:, rows, columns].float()
        insert_moments(
            images.numerator,
            images.weight,
            images.rotation,
            self.first.float(),
            second,
            images.half,
            images.lattice.k,
            box,
            total,
            oversampling,
        )
        return total


@dataclass(frozen=True, eq=False)
class LinearSums:
    """Complete sums of one half or of both: records [oD, oD, oD/2 + 1, F]. ``box``: D; ``channels``: C."""

    records: Float[Tensor, "z y x f"]
    box: int
    channels: int
    oversampling: int = 2

    @staticmethod
    def completed(
        total: Float[Tensor, "h z y x f"], box: int, channels: int, oversampling: int = 2
    ) -> list[LinearSums]:
        """The sums of each half, their x = 0 planes made whole: in place, once."""
        for half in total:
            symmetrise_moments(half, channels)
        return [LinearSums(half, box, channels, oversampling) for half in total]

    def weights(self) -> Float[Tensor, "c s"]:
        """Mean over each shell 0 … D/2 - 1 of Σ E[ẑ_c²] w C², per channel, float64."""
        places = [2 * self.channels + c * (c + 3) // 2 for c in range(self.channels)]
        diagonal = self.records[..., places].movedim(-1, 0)
        return shell_means(lambda slab: diagonal[:, slab], self.box, self.oversampling)

    def solve(self, power: Float[Tensor, "c s"], band_limit: int | None = None) -> Float[Tensor, "c d d d"]:
        """Posterior mean of the C maps under V_c(k) ~ N(0, ``power``), up to the shell ``band_limit``."""
        last = power.shape[1] - 1 if band_limit is None else band_limit
        most = min(self.oversampling * (last + 1), self.oversampling * self.box // 2) ** 2 + 1
        wanted = 1 / (self.oversampling**3 * power.double().clamp(min=1e-30))
        prior = torch.stack([Profile.of(row, self.box, self.oversampling).table[:most] for row in wanted])
        grid: Complex[Tensor, "z y x c"] = solve_moments(self.records, prior.T.contiguous(), self.oversampling)
        return grid_to_volumes(grid, self.box)

    def noise(self) -> Float[Tensor, "c s"]:
        """Noise variance of an unregularised coefficient of the D box, per channel and shell: 1/(o³ H)."""
        return 1 / (self.oversampling**3 * self.weights()).clamp(min=1e-30)
