"""What a family of shapes V(k, z) must offer to be projected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hypermol.imaging import ifft3
from hypermol.shapes import Complex, Float

Values = Callable[[Tensor, Tensor | None], Tensor]


class Volume(nn.Module, ABC):
    """A family of volumes in Fourier space. ``z_dim`` 0 means one volume (homogeneous)."""

    box: int
    z_dim: int
    differentiable: bool = True

    @abstractmethod
    def values(self, k: Float[Tensor, "n p 3"], z: Float[Tensor, "n d"] | None) -> Complex[Tensor, "n p"]:
        """V(k, z) at k (cycles/pixel, inside the circle of the lattice), with V(-k, z) = V(k, z)*."""

    def forward(self, k: Tensor, z: Tensor | None) -> Tensor:
        """``values``: so that a module with parameters from elsewhere can be called (``torch.func``)."""
        return self.values(k, z)

    def slices(self, k: Float[Tensor, "*b p 3"], z: Float[Tensor, "*b d"] | None) -> Complex[Tensor, "*b p"]:
        """The same with any leading axes."""
        lead, points = k.shape[:-2], k.shape[-2]
        flat_z = None if z is None else z.reshape(-1, z.shape[-1])
        return self.values(k.reshape(-1, points, 3), flat_z).reshape(*lead, points)

    @torch.no_grad()
    def maps(self, z: Float[Tensor, "n d"] | None, chunk: int = 32768) -> Float[Tensor, "m box box box"]:
        """Real-space maps at each z ([1, D, D, D] of a homogeneous family), from every k in the lattice's ball."""
        return sampled_maps(self.values, self.box, z, next(self.parameters()).device, chunk)


def sampled_maps(values: Values, box: int, z: Tensor | None, device: torch.device, chunk: int) -> Tensor:
    """Maps [m, D, D, D] of a function ``values(k [1, p, 3], z [1, d] or None)``, sampled ``chunk`` points at a time."""
    k, index = half_ball(box, device)
    rows = [None] if z is None else list(z.to(device)[:, None])
    return torch.stack([_map(values, box, k, index, row, chunk) for row in rows])


def coarse_map(values: Values, box: int, small: int, z: Tensor | None, device: torch.device) -> Tensor:
    """A map [d, d, d] over the same field of view in a box of ``small`` larger pixels: the same transform where both
    have one, from as few values of the function as its shells hold. z [1, d] or None."""

    def scaled(k: Tensor, z: Tensor | None) -> Tensor:
        return values(k * (small / box), z)

    with torch.no_grad():
        return _map(scaled, small, *half_ball(small, device), z, 32768)


def _map(values: Values, size: int, k: Tensor, index: Tensor, z: Tensor | None, chunk: int) -> Tensor:
    flat = torch.zeros(size**3, dtype=torch.complex64, device=k.device)
    for start in range(0, len(k), chunk):
        flat[index[start : start + chunk]] = values(k[None, start : start + chunk], z)[0].to(flat.dtype)
    whole = flat.reshape(size, size, size)
    centre = size // 2
    own = whole[centre, centre, centre].real.clone()
    whole = whole + whole.flip(0, 1, 2).roll((1, 1, 1), (0, 1, 2)).conj()
    whole[centre, centre, centre] = own.to(whole.dtype)
    return ifft3(whole).real


def half_ball(box: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """One of each ±k pair inside the ball round(|k| D) ≤ D/2 - 1: k [M, 3] (x, y, z; cycles/pixel) and its
    index [M] in the flattened centred transform [z, y, x]."""
    axis = torch.arange(box, device=device) - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    radius = (x * x + y * y + z * z).double().sqrt().round()
    half = (x > 0) | ((x == 0) & (y > 0)) | ((x == 0) & (y == 0) & (z >= 0))
    index = torch.nonzero((half & (radius <= box // 2 - 1)).flatten())[:, 0]
    k = torch.stack([x.flatten()[index], y.flatten()[index], z.flatten()[index]], -1).float() / box
    return k, index
