"""Turning images in their plane: by the angle that a pose has there, or any other."""

import torch
from torch import Tensor

from hypermol.imaging.fourier import images_to_packed, packed_to_images
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.plane_symmetries import QUARTER_TURN, moved_images
from hypermol.shapes import Complex, Float


def in_plane_angle(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Radians about z that a rotation (molecule to image) holds beside the shortest turn between its view and z.

    It is the twist of a swing-twist decomposition: an image turned by φ more, R_z(φ) R, has φ more of it. Any angle for
    views opposite to z, where there is no shortest turn.
    """
    return torch.atan2(rotation[..., 1, 0] - rotation[..., 0, 1], rotation[..., 0, 0] + rotation[..., 1, 1])


def turned_images(
    images: Complex[Tensor, "*batch p"], lattice: Lattice, angle: Float[Tensor, "*batch"]
) -> Complex[Tensor, "*batch p"]:
    """Packed transforms of images whose content was turned by ``angle`` (radians, x towards y) about the origin.

    Quarter turns by moving pixels, the rest (at most 45°) by three shears along rows and columns, each a phase in
    Fourier space (Unser, Thévenaz & Yaroslavsky 1995, IEEE Trans. Image Process. 4:1371). Nothing is interpolated: what
    lies within 0.46 D of the centre and within 0.92 of Nyquist is as it was, and noise keeps its power. Raises
    ConfigError for a lattice off the pixels of a transform.
    """
    flat, angle = images.reshape(-1, lattice.size), angle.detach().reshape(-1).to(lattice.k.dtype)
    quarters = (angle / (torch.pi / 2)).round()
    flat = torch.where((quarters % 2 == 1)[:, None], moved_images(flat, lattice, QUARTER_TURN), flat)
    flat = torch.where((quarters % 4 >= 2)[:, None], flat.conj(), flat)  # half a turn
    rest = (angle - quarters * (torch.pi / 2))[:, None, None]
    along_x, along_y = -(rest / 2).tan(), rest.sin()
    turned = _sheared(packed_to_images(flat, lattice), along_x)
    turned = _sheared(turned.mT, along_y).mT
    return images_to_packed(_sheared(turned, along_x), lattice).reshape(images.shape)


def _sheared(images: Float[Tensor, "n d d"], amount: Float[Tensor, "n 1 1"]) -> Float[Tensor, "n d d"]:
    """The content of each row moved along it by ``amount`` times the row's distance from the centre, round the edge."""
    box = images.shape[-1]
    if images.numel() == 0:  # MKL refuses to transform nothing
        return images
    distance = torch.arange(box, device=images.device, dtype=images.dtype) - box // 2
    k = torch.arange(box // 2 + 1, device=images.device, dtype=images.dtype) / box
    angle = -2 * torch.pi * amount.to(images.dtype) * distance[:, None] * k
    phase = torch.polar(torch.ones_like(angle), angle)
    return torch.fft.irfft(torch.fft.rfft(images) * phase, n=box)
