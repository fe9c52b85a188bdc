"""A batch: whole particles with all their images, ready for the forward model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from hypermol.shapes import Bool, Complex, Float, Int

if TYPE_CHECKING:
    from hypermol.imaging.ctf import CTF
    from hypermol.imaging.lattice import Lattice

PER_PIXEL = ("images", "ctf", "variance")


@dataclass(frozen=True, eq=False)
class Batch:
    """B particles with up to J images each, packed on a lattice of P Fourier pixels.

    particle     Int64[B], index of each particle in its data set
    images       Complex64[B, J, P]
    valid        Bool[B, J]; where false the image is padding (images and ctf 0, variance 1, tilt identity)
    ctf          Float32[B, J, P], 1 where the data carry no CTF
    variance     Float32[B, J, P], σ²(|k|) of the image's optics group
    rotation     Float32[B, 3, 3] or None without poses;  shift Float32[B, 2 or 3] in Å, or None
    tilt         Float32[B, J, 3, 3];  image_shift Float32[B, J, 2] in Å
    half         Int64[B], 0 or 1
    optics       CTF of batch shape [B, J] that ``ctf`` was made from, or None
    shift_dim    components of a shift that the whole data set tells: 3 where it has particles seen at a tilt, else 2
    lattice, pixel_size   of these images (after any Fourier crop), Å
    """

    particle: Int[torch.Tensor, " B"]
    images: Complex[torch.Tensor, "B J P"]
    valid: Bool[torch.Tensor, "B J"]
    ctf: Float[torch.Tensor, "B J P"]
    variance: Float[torch.Tensor, "B J P"]
    rotation: Float[torch.Tensor, "B 3 3"] | None
    shift: Float[torch.Tensor, "B d"] | None
    tilt: Float[torch.Tensor, "B J 3 3"]
    image_shift: Float[torch.Tensor, "B J 2"]
    half: Int[torch.Tensor, " B"]
    lattice: Lattice
    pixel_size: float
    optics: CTF | None = None
    shift_dim: int = 2

    @property
    def size(self) -> int:
        """B, the number of particles."""
        return int(self.particle.shape[0])

    def to(self, device: str | torch.device) -> Batch:
        """The batch on another device (copies overlap with work where the memory is pinned)."""
        moved = {n: v.to(device, non_blocking=True) for n, v in self._tensors().items()}
        optics = None if self.optics is None else self.optics.to(device)
        return replace(self, lattice=self.lattice.to(device), optics=optics, **moved)

    def slice(self, start: int, stop: int) -> Batch:
        """Particles ``start`` to ``stop`` of the batch."""
        return self._rows(slice(start, stop))

    def take(self, rows: Int[torch.Tensor, " b"]) -> Batch:
        """Some particles of the batch, by their places in it."""
        return self._rows(rows)

    def limit(self, band_limit: int) -> Batch:
        """The same particles with shells above ``band_limit`` left out (a prefix of the packed pixels)."""
        lattice = self.lattice.limit(band_limit)
        pixels: dict[str, Any] = {n: getattr(self, n)[..., : lattice.size] for n in PER_PIXEL}
        return replace(self, lattice=lattice, **pixels)

    def _rows(self, rows: Any) -> Batch:
        optics = None if self.optics is None else self.optics[rows]
        return replace(self, optics=optics, **{n: v[rows] for n, v in self._tensors().items()})

    def _tensors(self) -> dict[str, Any]:
        return {n: v for n, v in vars(self).items() if isinstance(v, torch.Tensor)}
