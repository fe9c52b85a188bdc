"""Rotations against scipy's Rotation, and the identities that the rest of the package relies on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from hypermol.imaging import rotations

ANGLE = st.floats(-360, 360, allow_nan=False)
VECTOR = st.tuples(*[st.floats(-3, 3)] * 3)


def double(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


@settings(max_examples=50, deadline=None)
@given(rot=ANGLE, tilt=ANGLE, psi=ANGLE)
def test_euler_angles_are_relions(rot, tilt, psi):
    expected = Rotation.from_euler("ZYZ", [rot, tilt, psi], degrees=True).as_matrix().T
    found = rotations.euler_to_matrix(*double(rot, tilt, psi))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    angles = rotations.matrix_to_euler(found)
    assert 0 <= float(angles[1]) <= 180
    torch.testing.assert_close(rotations.euler_to_matrix(*angles.unbind(-1)), found, atol=1e-7, rtol=0)


@pytest.mark.parametrize("tilt", [0.0, 180.0, 1e-6, 180 - 1e-6])
def test_euler_angles_at_the_poles(tilt):
    matrix = rotations.euler_to_matrix(*double(33.0, tilt, -71.0))
    again = rotations.euler_to_matrix(*rotations.matrix_to_euler(matrix).unbind(-1))
    torch.testing.assert_close(again, matrix, atol=1e-7, rtol=0)


@settings(max_examples=50, deadline=None)
@given(vector=VECTOR)
def test_rotation_vectors_are_scipys(vector):
    found = rotations.rotvec_to_matrix(double(vector)[0])
    np.testing.assert_allclose(found.numpy(), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)
    back = rotations.rotvec_to_matrix(rotations.matrix_to_rotvec(found))
    torch.testing.assert_close(back, found, atol=1e-9, rtol=0)


def test_half_turns_and_the_identity():
    axes = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=-1)
    half = rotations.rotvec_to_matrix(axes * torch.pi)
    found = rotations.matrix_to_rotvec(half)
    torch.testing.assert_close(found.norm(dim=-1), torch.full((50,), torch.pi).double())
    torch.testing.assert_close(rotations.rotvec_to_matrix(found), half)
    identity = torch.eye(3, dtype=torch.float64)
    assert not rotations.matrix_to_rotvec(identity).any()
    tiny = torch.tensor([1e-14, -2e-14, 3e-14], dtype=torch.float64)
    torch.testing.assert_close(
        rotations.matrix_to_rotvec(rotations.rotvec_to_matrix(tiny)), tiny, atol=1e-20, rtol=1e-6
    )


def test_quaternions_are_scipys():
    matrices = rotations.random_rotations(200, torch.Generator().manual_seed(0), dtype=torch.float64)
    quaternion = rotations.matrix_to_quaternion(matrices)
    expected = Rotation.from_matrix(matrices.numpy()).as_quat(canonical=True)[:, [3, 0, 1, 2]]
    np.testing.assert_allclose(quaternion.numpy(), expected, atol=1e-12)
    torch.testing.assert_close(rotations.quaternion_to_matrix(3 * quaternion), matrices)


def test_gradients():
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotations.rotvec_to_matrix, [vectors])
    six = torch.randn(3, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotations.s2s2_to_matrix, [six])
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    rotations.rotvec_to_matrix(zero)[2, 1].backward()
    torch.testing.assert_close(zero.grad, torch.tensor([1.0, 0, 0]).double())  # d/dx of exp([v]×) at 0


def test_random_rotations_are_uniform():
    """Haar measure: the angle has density (1 - cos θ)/π, the view is uniform on the sphere."""
    matrices = rotations.random_rotations(20_000, torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3).double().expand(20_000, 3, 3), atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(20_000).double())
    angle = torch.deg2rad(rotations.geodesic_angle_deg(matrices, torch.eye(3).double())).numpy()
    assert kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3
    view = rotations.viewing_direction(matrices)
    assert kstest(view[:, 2].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3
    same = rotations.random_rotations(5, torch.Generator().manual_seed(3))
    assert torch.equal(same, rotations.random_rotations(5, torch.Generator().manual_seed(3)))
    assert rotations.random_rotations(0).shape == (0, 3, 3)


@settings(max_examples=30, deadline=None)
@given(vector=VECTOR, angle=st.floats(0, 180))
def test_geodesic_angle(vector, angle):
    first = rotations.rotvec_to_matrix(double(vector)[0])
    turn = rotations.rotvec_to_matrix(double([0.0, np.deg2rad(angle), 0.0])[0])
    found = float(rotations.geodesic_angle_deg(first, first @ turn))
    assert found == pytest.approx(angle, abs=1e-6 if angle < 179 else 5e-6)
    assert float(rotations.geodesic_angle_deg(first @ turn, first)) == pytest.approx(found, abs=1e-9)


def test_viewing_direction_is_seen_end_on():
    matrices = rotations.random_rotations(9, torch.Generator().manual_seed(4), dtype=torch.float64)
    seen = torch.einsum("nij,nj->ni", matrices, rotations.viewing_direction(matrices))
    torch.testing.assert_close(seen, torch.tensor([0.0, 0, 1]).double().expand(9, 3))
    angles = rotations.matrix_to_euler(matrices)
    theta, phi = torch.deg2rad(angles[:, 1]), torch.deg2rad(angles[:, 0])
    expected = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], dim=-1)
    torch.testing.assert_close(rotations.viewing_direction(matrices), expected)


def test_mirrored_molecules_look_the_same():
    """Atoms mirrored in z and seen at J R J project to where the originals do (along +z instead of -z)."""
    generator = torch.Generator().manual_seed(5)
    atoms = torch.randn(10, 3, generator=generator, dtype=torch.float64)
    matrices = rotations.random_rotations(6, generator, dtype=torch.float64)
    flip = torch.tensor([1.0, 1, -1]).double()
    projected = (atoms @ matrices.mT)[..., :2]
    mirrored = ((atoms * flip) @ rotations.mirror(matrices).mT)[..., :2]
    torch.testing.assert_close(mirrored, projected)
    torch.testing.assert_close(rotations.mirror(rotations.mirror(matrices)), matrices)


def test_two_vectors_make_a_rotation():
    vectors = torch.randn(20, 6, generator=torch.Generator().manual_seed(6))
    matrices = rotations.s2s2_to_matrix(vectors)
    assert matrices.dtype == torch.float32
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(20))
    own = rotations.random_rotations(20, torch.Generator().manual_seed(7))
    torch.testing.assert_close(rotations.s2s2_to_matrix(own.mT[:, :2].flatten(1)), own, atol=1e-5, rtol=0)
