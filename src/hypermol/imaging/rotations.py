"""Rotations R, which take the molecule's frame to the microscope's (DESIGN §2), as matrices [..., 3, 3].

An atom at r appears at the first two components of R r. Rᵀ(kx, ky, 0) are the slice coordinates.
"""

import math

import torch
from torch import Tensor

from hypermol.shapes import Float


def euler_to_matrix(
    rot: Float[Tensor, "*batch"], tilt: Float[Tensor, "*batch"], psi: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 3 3"]:
    """R of RELION's angles (degrees): (Rz(rot) Ry(tilt) Rz(psi))ᵀ, intrinsic ZYZ (Heymann et al. 2005)."""
    return (_about_z(rot) @ _about_y(tilt) @ _about_z(psi)).mT


def matrix_to_euler(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """RELION's (rot, tilt, psi) in degrees, tilt in 0 … 180; rot is 0 where tilt is 0 or 180 (only the
    in-plane sum is defined there). Inverse of ``euler_to_matrix``."""
    m = rotation.mT
    sine = torch.hypot(m[..., 0, 2], m[..., 1, 2])
    tilt = torch.atan2(sine, m[..., 2, 2])
    pole = sine < 4 * torch.finfo(sine.dtype).eps
    rot = torch.where(pole, torch.zeros_like(sine), torch.atan2(m[..., 1, 2], m[..., 0, 2]))
    # second row of Rz(-rot) M = Ry(tilt) Rz(psi) is (sin psi, cos psi, 0), well defined at the poles too
    sin_psi = m[..., 1, 0] * torch.cos(rot) - m[..., 0, 0] * torch.sin(rot)
    cos_psi = m[..., 1, 1] * torch.cos(rot) - m[..., 0, 1] * torch.sin(rot)
    return torch.rad2deg(torch.stack([rot, tilt, torch.atan2(sin_psi, cos_psi)], dim=-1))


def rotvec_to_matrix(rotvec: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """exp([v]×), v = axis · angle (radians), by Rodrigues' formula; differentiable at 0."""
    angle = torch.linalg.vector_norm(rotvec, dim=-1)[..., None, None]
    x, y, z = rotvec.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    first = torch.sinc(angle / math.pi)
    second = 0.5 * torch.sinc(angle / (2 * math.pi)) ** 2
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + first * cross + second * (cross @ cross)


def matrix_to_rotvec(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Axis · angle (radians, 0 … π) of rotations: inverse of ``rotvec_to_matrix``."""
    quaternion = matrix_to_quaternion(rotation)
    vector = quaternion[..., 1:]
    sine = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quaternion[..., :1])
    small = sine < 1e-12
    factor = torch.where(small, torch.full_like(sine, 2.0), angle / torch.where(small, torch.ones_like(sine), sine))
    return vector * factor


def quaternion_to_matrix(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation of a quaternion (w, x, y, z) of any length but 0."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quaternion(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternion (w, x, y, z), w ≥ 0. The largest of the four squares is used (Shepperd 1978)."""
    m = rotation
    a, b, c = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    x, y, z = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    # rows are 4 q_i q for i = w, x, y, z; the row of the largest q_i is the best conditioned
    rows = torch.stack(
        [
            torch.stack([1 + a + b + c, x, y, z], dim=-1),
            torch.stack([x, 1 + a - b - c, xy, xz], dim=-1),
            torch.stack([y, xy, 1 - a + b - c, yz], dim=-1),
            torch.stack([z, xz, yz, 1 - a - b + c], dim=-1),
        ],
        dim=-2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    chosen = torch.take_along_dim(rows, best[..., None, None], dim=-2).squeeze(-2)
    chosen = torch.nn.functional.normalize(chosen, dim=-1)
    return torch.where(chosen[..., :1] < 0, -chosen, chosen)


def random_rotations(
    n: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, "n 3 3"]:
    """``n`` rotations, uniform over SO(3): normalised Gaussian quaternions (Shoemake 1992; Muller 1959)."""
    return quaternion_to_matrix(torch.randn(n, 4, generator=generator, dtype=dtype, device=device))


def geodesic_angle_deg(
    first: Float[Tensor, "*#batch 3 3"], second: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "..."]:
    """Angle (degrees, 0 … 180) of the rotation between two rotations; accurate at small angles,
    and to the square root of the precision near 180."""
    difference = first - second
    sine = torch.sqrt((difference * difference).sum((-2, -1)) / 8)
    cosine = torch.sqrt(torch.clamp(1 + (first * second).sum((-2, -1)), min=0)) / 2
    return torch.rad2deg(2 * torch.atan2(sine, cosine))


def viewing_direction(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Direction of the beam in the molecule's frame, Rᵀ e_z (unit vectors)."""
    return rotation[..., 2, :]


def mirror(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation of the other hand: J R J, J = diag(1, 1, -1); the volume is then flipped along z."""
    signs = rotation.new_tensor([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    return rotation * signs


def s2s2_to_matrix(vectors: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation whose first two columns are Gram-Schmidt of two 3-vectors (Zhou et al. 2019, eq. 15)."""
    first = torch.nn.functional.normalize(vectors[..., :3], dim=-1)
    second = vectors[..., 3:]
    second = second - (first * second).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def _about_z(degrees: Tensor) -> Tensor:
    angle = torch.deg2rad(degrees)
    c, s, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=-1).unflatten(-1, (3, 3))


def _about_y(degrees: Tensor) -> Tensor:
    angle = torch.deg2rad(degrees)
    c, s, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, zero, s, zero, one, zero, -s, zero, c], dim=-1).unflatten(-1, (3, 3))
