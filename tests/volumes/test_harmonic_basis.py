"""The harmonic basis against quadrature, scipy, and the integral equation that defines its radial functions."""

import math

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, sph_harm_y, spherical_jn

from hypermol.errors import ConfigError
from hypermol.imaging import fft3, random_rotations, rotvec_to_matrix, slice_coordinates
from hypermol.imaging.lattice import Lattice
from hypermol.testing import VolumeContract, small_context
from hypermol.volumes import ConformationBasis, Expansion, HarmonicBasis, half_ball
from hypermol.volumes.harmonics import solid_harmonics
from hypermol.volumes.prolate import radial_functions

SMALL = {"shells": 4, "radius": 0.3}


class TestSegment(VolumeContract):
    def build(self):
        return HarmonicBasis(z_dim=1, **SMALL).build(small_context())


class TestSquare(VolumeContract):
    def build(self):
        return HarmonicBasis(z_dim=2, degree=3, **SMALL).build(small_context())


class TestCircle(VolumeContract):
    def build(self):
        return HarmonicBasis(z_dim=2, domain="circle", **SMALL).build(small_context())


class TestRigid(VolumeContract):
    def build(self):
        return HarmonicBasis(z_dim=0, **SMALL).build(small_context())


def double(count, *shape, seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gauss(count):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


def test_hermitian_to_the_last_bit():
    volume = HarmonicBasis(z_dim=1, shells=7).build(small_context())
    k, z = 0.2 * double(5, 40, 3), double(5, 1, seed=1)
    assert torch.equal(volume.values(-k, z), volume.values(k, z).conj())


def test_harmonics_are_scipys():
    v = torch.nn.functional.normalize(double(60, 3))
    polar, azimuth = torch.acos(v[:, 2]).numpy(), torch.atan2(v[:, 1], v[:, 0]).numpy()
    found = solid_harmonics(1.3 * v, 12).numpy()
    for degree in range(13):
        for order in range(-degree, degree + 1):
            exact = (-1) ** order * sph_harm_y(degree, abs(order), polar, azimuth)
            real = exact.real if order == 0 else math.sqrt(2) * (exact.real if order > 0 else exact.imag)
            index = degree**2 + degree + order
            np.testing.assert_allclose(found[:, index], 1.3**degree * real, atol=1e-11)


@pytest.mark.parametrize("bandwidth", [5.0, 13.0, 22.0])
def test_radial_functions_are_eigenfunctions(bandwidth):
    """∫₀¹ j_l(c x y) Φ(y) y² dy = λ Φ(x); |4π λ|² (c/2π)³ is the share inside the ball."""
    radius, weight = gauss(300)
    for family in radial_functions(bandwidth, 0.3):
        values = family.over_power(radius) * radius**family.degree
        measured = values * weight * radius**2
        np.testing.assert_allclose(measured @ values.T, np.eye(len(values)), atol=1e-11)
        kernel = spherical_jn(family.degree, bandwidth * np.outer(radius, radius))
        image = measured @ kernel
        eigenvalue = (image * measured).sum(1)
        np.testing.assert_allclose(image, eigenvalue[:, None] * values, atol=1e-11)
        share = (bandwidth / (2 * math.pi)) ** 3 * (4 * math.pi * eigenvalue) ** 2
        np.testing.assert_allclose(family.concentration, share, rtol=1e-8)
        assert (np.diff(share) < 0).all()


def test_as_many_functions_as_the_volumes_of_the_balls_hold():
    """Landau's count, 2c³/9π, is approached as c grows; and all are concentrated as was asked."""
    for bandwidth in (13.0, 30.0):
        families = radial_functions(bandwidth, 0.5)
        count = sum((2 * f.degree + 1) * len(f.mixing) for f in families)
        assert abs(count / (2 * bandwidth**3 / (9 * math.pi)) - 1) < 0.03
        assert min(f.concentration.min() for f in families) >= 0.5


def test_orthonormal_in_the_ball_of_frequencies():
    """By a product rule that is exact for these polynomials on the sphere."""
    expansion = Expansion.of(16, 4, 0.3, 0.5)
    radius, weight = gauss(60)
    cosine, about = np.polynomial.legendre.leggauss(20)
    angle = 2 * np.pi * np.arange(40) / 40
    sine = np.sqrt(1 - cosine**2)
    sphere = np.stack(
        [np.outer(sine, np.cos(angle)), np.outer(sine, np.sin(angle)), np.outer(cosine, np.ones(40))], -1
    ).reshape(-1, 3)
    k = torch.from_numpy(expansion.largest * radius[:, None, None] * sphere).flatten(0, 1)
    measure = torch.from_numpy(
        np.einsum("r,a->ra", weight * radius**2, np.repeat(about, 40) * 2 * np.pi / 40)
    ).flatten()
    design = expansion.design(k)
    gram = (design * measure[:, None]).T @ design
    assert (gram - torch.eye(expansion.size)).abs().max() < 1e-10


def test_functions_of_z_are_orthonormal_and_known():
    nodes, weights = np.polynomial.legendre.leggauss(12)
    z = torch.from_numpy(np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1)).flatten(0, 1)
    measure = torch.from_numpy(np.outer(weights, weights).flatten() / 4)
    basis = ConformationBasis("segment", 2, 4)
    values = basis.values(z)
    assert ((values * measure[:, None]).T @ values - torch.eye(15)).abs().max() < 1e-12
    place = basis.powers.index((1, 3))
    exact = math.sqrt(3 * 7) * eval_legendre(1, z[:, 0].numpy()) * eval_legendre(3, z[:, 1].numpy())
    np.testing.assert_allclose(values[:, place], exact, atol=1e-12)
    angle = 2 * math.pi * torch.arange(30, dtype=torch.float64) / 30
    circle = ConformationBasis("circle", 2, 3).values(3 * torch.stack([angle.cos(), angle.sin()], -1))
    assert (circle.T @ circle / 30 - torch.eye(7)).abs().max() < 1e-12
    np.testing.assert_allclose(circle[:, 4], math.sqrt(2) * torch.sin(2 * angle), atol=1e-12)
    assert ConformationBasis("segment", 0, 0).values(torch.zeros(3, 0)).shape == (3, 1)


def test_a_circle_has_two_coordinates():
    with pytest.raises(ConfigError, match="expected z_dim = 2, found 1"):
        HarmonicBasis(z_dim=1, domain="circle").build(small_context())


@pytest.mark.parametrize("near_pole", [False, True])
def test_turned_coefficients_are_the_turned_function(near_pole):
    """V(Rᵀk) at points, against the turned coefficients at the same points."""
    expansion = Expansion.of(24, 7, 0.35, 0.5)
    a, k = double(9, expansion.size), 0.25 * torch.nn.functional.normalize(double(9, 30, 3, seed=1), dim=-1)
    rotation = random_rotations(9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    if near_pole:
        rotation = rotvec_to_matrix(double(9, 3) * torch.tensor([1e-9, 1e-9, 1.0]))
        rotation[4:] = torch.diag(torch.tensor([1.0, -1.0, -1.0]).double()) @ rotation[4:]
    direct = expansion.combined(expansion.design(k @ rotation), a)
    turned = expansion.combined(expansion.design(k), expansion.turned(a, rotation))
    assert (direct - turned).abs().max() < 1e-9 * direct.abs().max()


def test_gradient_of_a_turn_is_tame_everywhere():
    expansion = Expansion.of(16, 4, 0.3, 0.5)
    a = double(6, expansion.size)
    rotation = random_rotations(6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rotation[:2] = torch.eye(3, dtype=torch.float64)
    rotation[2] = torch.diag(torch.tensor([1.0, -1.0, -1.0]).double())

    def turned(turn):
        return expansion.turned(a, rotvec_to_matrix(turn) @ rotation)

    assert torch.autograd.gradcheck(turned, (1e-3 * double(6, 3, seed=5)).requires_grad_(), atol=1e-5)


def test_maps_are_real_molecules_inside_the_radius():
    """Energy of a random member inside its radius, in real space, by another route: the transform of its map."""
    volume = HarmonicBasis(z_dim=1, shells=7, radius=0.25, concentration=0.9).build(small_context(32))
    map_ = volume.maps(torch.zeros(1, 1))[0]
    axis = torch.arange(32) - 16
    inside = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) <= (0.28 * 32) ** 2
    assert map_[inside].square().sum() > 0.9 * map_.square().sum()
    k, index = half_ball(32)
    beyond = (k.norm(dim=-1) * 32).round() > 7
    transform = fft3(map_).flatten()[index].abs()
    assert transform[beyond].max() < 1e-4 * transform.max()


def test_prior_has_the_power_of_the_signal():
    """Mean |V|² over draws of the coefficients, in the middle of the band."""
    expansion = Expansion.of(32, 9, 0.35, 0.5)
    power = torch.linspace(4.0, 2.0, 16)
    spread = expansion.variance(power, 32).sqrt()
    design = expansion.design(torch.nn.functional.normalize(double(200, 3)) * 5 / 32)
    found = (design * spread).square().sum(1).mean()
    assert abs(float(found) / float(power[5]) - 1) < 0.1


def test_slices_of_poses_are_slices_of_the_volume():
    volume = HarmonicBasis(z_dim=1, shells=5).build(small_context())
    lattice, z = Lattice.disc(16, 5), 0.5 * double(7, 1)
    rotation = random_rotations(7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    direct = volume.values(slice_coordinates(lattice.k.double(), rotation), z)
    expansion = volume.expansion
    plane = expansion.design(torch.nn.functional.pad(lattice.k.double(), (0, 1)))
    found = expansion.combined(plane, expansion.turned(volume.mixed(z, 7), rotation))
    assert (found - direct).abs().max() < 1e-9 * direct.abs().max()
