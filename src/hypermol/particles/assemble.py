"""Joining packed images with what is known of them: one batch out of the tables of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hypermol.imaging.ctf import CTF
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.noise import per_pixel
from hypermol.particles.batch import Batch
from hypermol.particles.model import Particles


@dataclass(frozen=True, eq=False)
class Tables:
    """The metadata of a data set as tensors on the device of the batches; float32 but for the CTF."""

    device: torch.device
    optics_group: torch.Tensor
    ctf: CTF | None
    rotation: torch.Tensor | None
    shift: torch.Tensor | None
    tilt: torch.Tensor | None
    image_shift: torch.Tensor | None
    half: torch.Tensor
    shift_dim: int


def tables(particles: Particles, device: str | torch.device) -> Tables:
    """Move the metadata to a device."""

    def move(values: NDArray[np.float64] | None) -> torch.Tensor | None:
        return None if values is None else torch.as_tensor(values, dtype=torch.float32).to(device)

    return Tables(
        device=torch.device(device),
        optics_group=torch.from_numpy(particles.optics_group).to(device),
        ctf=None if particles.ctf is None else particles.ctf.to(device),
        rotation=move(particles.rotation),
        shift=move(particles.shift),
        tilt=move(particles.tilt),
        image_shift=move(particles.image_shift),
        half=torch.as_tensor(particles.half, dtype=torch.int64).to(device),
        shift_dim=particles.shift_dim,
    )


def assemble(
    known: Tables,
    particles: NDArray[np.int64],
    images: NDArray[np.int64],
    valid: NDArray[np.bool_],
    packed: torch.Tensor,
    lattice: Lattice,
    pixel_size: float,
    noise: torch.Tensor,
) -> Batch:
    """A batch from particle numbers [B], image numbers and validity [B, J], and packed images [B, J, P].

    Padding (not valid) becomes images and CTF 0, variance 1, tilt identity, shift 0.
    """
    who = torch.from_numpy(particles).to(known.device)
    which = torch.from_numpy(images).to(known.device)
    mask = torch.from_numpy(valid).to(known.device)
    optics = None if known.ctf is None else known.ctf[which]
    ctf = packed.real.new_ones(packed.shape) if optics is None else optics.evaluate(lattice.k, pixel_size)
    variance = per_pixel(noise, lattice)[known.optics_group[which]]
    tilt, image_shift = _geometry(known, which)
    if not valid.all():
        images_mask = mask[..., None]
        packed, ctf = packed * images_mask, ctf * images_mask
        variance = torch.where(images_mask, variance, torch.ones_like(variance))
        tilt = torch.where(images_mask[..., None], tilt, torch.eye(3, device=tilt.device))
        image_shift = image_shift * images_mask
    return Batch(
        particle=who,
        images=packed,
        valid=mask,
        ctf=ctf,
        variance=variance,
        rotation=None if known.rotation is None else known.rotation[who],
        shift=None if known.shift is None else known.shift[who],
        tilt=tilt,
        image_shift=image_shift,
        half=known.half[who],
        lattice=lattice,
        pixel_size=pixel_size,
        optics=optics,
        shift_dim=known.shift_dim,
    )


def _geometry(known: Tables, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if known.tilt is None or known.image_shift is None:
        identity = torch.eye(3, device=known.device).expand(*which.shape, 3, 3)
        return identity, torch.zeros(*which.shape, 2, device=known.device)
    return known.tilt[which], known.image_shift[which]
