"""From a particle's pose to the poses of its images: R_ij = A_ij R_i, t_ij = [A_ij τ_i]_xy + s_ij (DESIGN §1)."""

from torch import Tensor
from torch.nn.functional import pad

from hypermol.shapes import Float


def image_rotations(rotation: Float[Tensor, "b h 3 3"], tilt: Float[Tensor, "b j 3 3"]) -> Float[Tensor, "b h j 3 3"]:
    """Rotations of J images per particle under H hypotheses."""
    return tilt[:, None] @ rotation[:, :, None]


def image_shifts(
    shift: Float[Tensor, "b h d"], tilt: Float[Tensor, "b j 3 3"], image_shift: Float[Tensor, "b j 2"]
) -> Float[Tensor, "b h j 2"]:
    """Shifts of J images (Å, or whatever unit the inputs share) under H hypotheses; d is 2 or 3 (then τ_z counts)."""
    whole = pad(shift, (0, 3 - shift.shape[-1]))
    moved = (tilt[:, None] @ whole[:, :, None, :, None])[..., :2, 0]
    return moved + image_shift[:, None]
