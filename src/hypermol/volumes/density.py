"""Families of densities in real space: voxels that are never negative, inside a sphere."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import softplus

from hypermol.kernels import slice_grid, slice_grids, volumes_to_grid, volumes_to_grids
from hypermol.maps import centred_sphere, rigid_fields
from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext
from hypermol.volumes.base import Volume

FILLED = 0.05
"""Share of the box that a molecule is taken to fill, in the unit of density."""
SHARPNESS, START = 2.0, -0.5


class DensityVolume(Volume):
    """A family whose ``raw(z)`` becomes densities, and those an oversampled Fourier grid each, from which slices are
    read. In a batch, neighbours with the same z share one grid."""

    sphere: Tensor
    unit: Tensor

    def __init__(self, z_dim: int, context: BuildContext) -> None:
        super().__init__()
        self.box, self.z_dim = context.box, z_dim
        self.register_buffer("sphere", centred_sphere(context.box), persistent=False)
        # the density of a molecule that fills its share of the box and has the data's amplitude in shell 1
        self.register_buffer("unit", context.signal_amplitude[1].float() / (FILLED * context.box**3))

    @abstractmethod
    def raw(self, z: Float[Tensor, "n d"] | None) -> Float[Tensor, "n box box box"]:
        """Unconstrained values of about unit size ([1, …] of a homogeneous family)."""

    def densities(self, z: Float[Tensor, "n d"] | None) -> Float[Tensor, "n box box box"]:
        """softplus(raw) in units of the data's own density, 0 beyond the sphere in which a centred molecule lies:
        positivity and support as Gupta et al. (2021) ask of a map, but with derivatives everywhere."""
        return self.unit * self.sphere * softplus(self.raw(z) + START, SHARPNESS)

    def frame(self, z: Float[Tensor, "n d"], shifts: bool = False) -> Float[Tensor, ""]:
        """How far the densities at n different z are from lying on their mean V0 as well as a small turn (and shift)
        could lay them: mean over z of sum_a <L_a V0, V(z)>^2 / (|L_a V0|^2 |V0|^2), L_a the changes by small motions.

        A map turned by w radians about a axis from where it lies best has about w^2 |L_a V0|^2 / |V0|^2.
        """
        found = self.densities(z)
        mean = found.mean(0)
        fields = rigid_fields(mean)[: 6 if shifts else 3].flatten(1)
        along = found.flatten(1) @ fields.T
        return (along.square() / fields.square().sum(1)).sum(1).mean() / mean.square().sum()

    def values(self, k: Float[Tensor, "n p 3"], z: Float[Tensor, "n d"] | None) -> Complex[Tensor, "n p"]:
        """V(k, z); see Volume."""
        if len(k) == 0:
            return torch.complex(k[..., 0], k[..., 0])
        if z is None:
            return slice_grid(volumes_to_grid(self.densities(None)), k, self.box)[..., 0]
        starts = _runs(z)
        sizes = torch.diff(starts, append=starts.new_tensor([len(z)])).tolist()
        return slice_grids(volumes_to_grids(self.densities(z[starts])), k, sizes, self.box)[..., 0]


def _runs(z: Tensor) -> Tensor:
    """Where each run of equal rows begins. A z that is itself to be moved stays its own run: its row alone has the
    derivative."""
    if z.requires_grad:
        return torch.arange(len(z), device=z.device)
    new = torch.ones(len(z), dtype=torch.bool, device=z.device)
    new[1:] = (z[1:] != z[:-1]).any(-1)
    return torch.nonzero(new)[:, 0]
