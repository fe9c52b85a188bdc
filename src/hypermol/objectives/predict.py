"""The forward model over hypotheses: images that a volume family predicts (DESIGN §1)."""

from __future__ import annotations

from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import apply_optics, image_rotations, image_shifts, shift_phase, slice_coordinates
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses
from hypermol.volumes import Volume


def predicted_images(volume: Volume, hypotheses: Hypotheses, batch: Batch) -> Tensor:
    """C · exp(-2πi k·t) · V(Rᵀ(k, 0), z) for each image under each hypothesis, [B, H, J, P] complex."""
    rotation, shift = hypotheses.rotation, hypotheses.shift
    if rotation is None or shift is None:
        raise ConfigError("images cannot be predicted without a pose: the method has no estimator of it")
    k = slice_coordinates(batch.lattice.k, image_rotations(rotation, batch.tilt))
    z = hypotheses.z
    if z is not None:
        z = z[:, :, None].expand(-1, k.shape[1], k.shape[2], -1)
    slices = volume.slices(k, z)
    shift = image_shifts(shift, batch.tilt, batch.image_shift) / batch.pixel_size
    phase = shift_phase(batch.lattice.k, shift)
    return apply_optics(slices, batch.ctf[:, None], phase)
