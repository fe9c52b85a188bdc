"""Packed Fourier images as a critic sees them: in real space, their noise white and of variance 1."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from hypermol.imaging import Lattice, packed_to_images
from hypermol.shapes import Complex, Float


@dataclasses.dataclass(frozen=True, eq=False)
class CriticView:
    """Real and made images go through the same: divided by σ, cut at the lattice's band limit, in a box of few pixels
    that still holds that band. Shell 0 is left out: normalisation by the background decides about it.

    Whitening is linear and the same for all images of an optics group; dividing each image by its own deviation would
    hide the scale of the map from the critic.
    """

    lattice: Lattice
    box: int

    def __call__(self, images: Complex[Tensor, "n p"], variance: Float[Tensor, "n p"]) -> Float[Tensor, "n d d"]:
        """Real-space images. Raises ConfigError where the box does not hold the band."""
        seen = self.lattice.shell > 0
        whitened = images / variance.sqrt() * seen
        power = float((2 * self.lattice.weight * seen).sum())  # of whitened noise, over the whole plane
        return packed_to_images(whitened, self.lattice.in_box(self.box)) * (self.box**2 / power**0.5)


def critic_box(band_limit: int, box: int) -> int:
    """The smallest multiple of four pixels that holds shells up to ``band_limit``, and no more than the box."""
    return min(box, 4 * -(-(2 * band_limit + 2) // 4))
