"""Turning images in their plane: by the angle that a pose has there, or any other."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from hypermol.imaging.lattice import Lattice
from hypermol.shapes import Complex, Float


def in_plane_angle(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Radians about z that a rotation (molecule to image) holds beside the shortest turn between its view and z.

    It is the twist of a swing-twist decomposition: an image turned by φ more, R_z(φ) R, has φ more of it. 0 for views
    opposite to z, where there is no shortest turn.
    """
    return torch.atan2(rotation[..., 1, 0] - rotation[..., 0, 1], rotation[..., 0, 0] + rotation[..., 1, 1])


def turned_images(
    images: Complex[Tensor, "*batch p"], lattice: Lattice, angle: Float[Tensor, "*batch"]
) -> Complex[Tensor, "*batch p"]:
    """Packed transforms of images whose content was turned by ``angle`` (radians, x towards y) about the origin.

    Interpolated between four neighbours, for what looks at images: content far from the centre of the box is damped,
    zeros stand beyond the band. Likelihoods turn the volume and need no interpolation of images. Raises ConfigError for
    a lattice off the pixels of a transform.
    """
    shape, box = images.shape, lattice.box
    flat = images.reshape(-1, shape[-1])
    planes = torch.view_as_real(lattice.unpack(flat)).permute(0, 3, 1, 2)
    cos, sin = (part.reshape(-1, 1) for part in (angle.cos(), angle.sin()))
    x, y = lattice.integers.to(angle.dtype).unbind(-1)
    source = torch.stack([cos * x + sin * y, cos * y - sin * x], -1)  # X'(k) = X(R(angle)ᵀ k)
    where = (source + box // 2) * (2 / (box - 1)) - 1
    found = grid_sample(planes, where[:, None].to(planes.dtype), align_corners=True)[:, :, 0]
    return torch.complex(found[:, 0], found[:, 1]).reshape(shape)
