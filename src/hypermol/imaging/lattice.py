"""The points of Fourier space at which an image is kept: one of each ±k pair in a circle, sorted by radius.

Images are real, so half of the plane says everything; pixels beyond the last full shell hold nothing but
corners; sorting by radius makes a band limit a prefix. DESIGN §2 (Fourier).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels.box import require_even_box
from hypermol.shapes import Complex, Float, Int


@dataclass(frozen=True, eq=False)
class Lattice:
    """Points of an image's Fourier transform.

    box: D, the box size (pixels) of the images. k: [P, 2], (kx, ky) in cycles/pixel.
    weight: [P], 1, or ½ where the point is its own conjugate. shell: [P], round(|k| D).
    Polar and other lattices are the same type; only lattices whose k are integer multiples of 1/D can pack.
    """

    box: int
    k: Float[Tensor, "p 2"]
    weight: Float[Tensor, " p"]
    shell: Int[Tensor, " p"]

    @staticmethod
    def disc(
        box: int,
        band_limit: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> "Lattice":
        """All pixels with round(|k| D) ≤ ``band_limit`` (default and at most D/2 - 1) in the half plane
        x > 0, or x = 0 and y ≥ 0, sorted by radius, then angle.

        Raises DataError for an odd box, ConfigError for a band limit outside 0 … D/2 - 1.
        """
        largest = require_even_box(box) // 2 - 1
        limit = _checked_limit(largest if band_limit is None else band_limit, largest)
        y, x = torch.meshgrid(torch.arange(-largest, largest + 1), torch.arange(largest + 1), indexing="ij")
        x, y = x.flatten(), y.flatten()
        # sqrt of an integer is never a half integer, so rounding has no ties
        shell = torch.round(torch.sqrt((x * x + y * y).double())).long()
        keep = ((x > 0) | (y >= 0)) & (shell <= limit)
        x, y, shell = x[keep], y[keep], shell[keep]
        # on one circle of the half plane the angle grows with y, and no two points share it
        order = torch.argsort((x * x + y * y) * (2 * box + 1) + y)
        x, y, shell = x[order], y[order], shell[order]
        k = (torch.stack([x, y], dim=-1).double() / box).to(device=device, dtype=dtype)
        weight = torch.where((x == 0) & (y == 0), 0.5, 1.0).to(device=device, dtype=dtype)
        return Lattice(box, k, weight, shell.to(device=device))

    @property
    def size(self) -> int:
        """P, the number of points."""
        return self.k.shape[0]

    @cached_property
    def band_limit(self) -> int:
        """The largest shell (0 for an empty lattice)."""
        return int(self.shell.max()) if self.size else 0

    def count(self, band_limit: int) -> int:
        """How many points (a prefix, when sorted by radius) have a shell ≤ ``band_limit``."""
        return int((self.shell <= band_limit).sum())

    def limit(self, band_limit: int) -> "Lattice":
        """The lattice up to shell ``band_limit``: packed images are cut by ``images[..., :lattice.size]``.

        Raises ConfigError where the limit is negative. A limit beyond the lattice's own changes nothing.
        """
        if band_limit >= self.band_limit:
            return self
        count = self.count(_checked_limit(band_limit, self.band_limit))
        return Lattice(self.box, self.k[:count], self.weight[:count], self.shell[:count])

    def in_box(self, box: int) -> "Lattice":
        """The same points of the same field of view seen in ``box`` pixels: k in cycles per pixel of those.

        Raises ConfigError where the lattice reaches beyond that box's last whole shell.
        """
        if self.band_limit > box // 2 - 1:
            raise ConfigError(
                f"a box of {box} px holds shells up to {box // 2 - 1}; this lattice has {self.band_limit}"
            )
        return Lattice(box, self.k * (self.box / box), self.weight, self.shell)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Lattice":
        """The same points on another device or in another float type."""
        return Lattice(
            self.box,
            self.k.to(device=device, dtype=dtype),
            self.weight.to(device=device, dtype=dtype),
            self.shell.to(device=device),
        )

    @cached_property
    def integers(self) -> Int[Tensor, "p 2"]:
        """(x, y) of each point in pixels of the transform, within ±D/2. Raises ConfigError off the grid."""
        scaled = self.k.double() * self.box
        rounded = torch.round(scaled)
        if self.size and float((scaled - rounded).abs().max()) > 1e-3:
            raise ConfigError("this lattice does not lie on the pixels of a transform; interpolate instead of packing")
        return rounded.long()

    @cached_property
    def pixels(self) -> Int[Tensor, " p"]:
        """Index of each point in the flattened centred transform [D·D]."""
        x, y = self.integers.unbind(-1)
        return (y + self.box // 2) * self.box + x + self.box // 2

    @cached_property
    def conjugate_pixels(self) -> Int[Tensor, " p"]:
        """Index of each point's conjugate, -k, in the flattened centred transform [D·D]."""
        x, y = self.integers.unbind(-1)
        return (self.box // 2 - y) * self.box + self.box // 2 - x

    def pack(self, transform: Complex[Tensor, "*batch d d"]) -> Complex[Tensor, "*batch p"]:
        """Pick the points out of centred transforms [..., D, D]. Raises ConfigError for another box."""
        if transform.shape[-1] != self.box:
            raise ConfigError(f"expected transforms of {self.box} px, found {transform.shape[-1]} px")
        return transform.flatten(-2)[..., self.pixels]

    def unpack(self, values: Complex[Tensor, "*batch p"]) -> Complex[Tensor, "*batch d d"]:
        """Centred Hermitian transforms [..., D, D] of packed values, zero outside the lattice."""
        own = self.pixels == self.conjugate_pixels
        values = torch.where(own, values.real.to(values.dtype), values)
        flat = values.new_zeros((*values.shape[:-1], self.box * self.box))
        flat = flat.index_copy(-1, self.pixels, values).index_copy(-1, self.conjugate_pixels, values.conj())
        return flat.unflatten(-1, (self.box, self.box))


def _checked_limit(band_limit: int, largest: int) -> int:
    if 0 <= band_limit <= largest:
        return band_limit
    raise ConfigError(f"band limit: expected a shell from 0 to {largest}, found {band_limit}")
