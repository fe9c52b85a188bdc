"""Moments of images on rings, against Kam's formula, analytic projections and simulated images."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from hypermol.imaging.lattice import Lattice
from hypermol.reconstruction import ImageMoments, MomentInversion, RingMap, Rings, ViewingSphere
from hypermol.simulation.views import ViewDensity
from hypermol.volumes import Expansion

BOX, SHELLS, RADIUS = 24, 3, 0.3
RINGS = Rings(SHELLS, RADIUS)
EXPANSION = Expansion.of(BOX, SHELLS, RADIUS, 0.2)
SHARP = Expansion.of(BOX, 8, RADIUS, 0.99)
ABOUT = ViewDensity(2.0, ((1.0, 0.0, 0.4), (0.0, 1.0, -1.0)))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def nothing_measured() -> ImageMoments:
    empty = [len(places[0]) for places in RINGS.products]
    return ImageMoments(
        tuple(torch.zeros(n, dtype=torch.complex128) for n in empty), tuple(torch.ones(n).double() for n in empty), 1
    )


def inversion(sphere: ViewingSphere, moments: ImageMoments | None = None, expansion=EXPANSION) -> MomentInversion:
    spread = torch.ones(expansion.size, dtype=torch.float64)
    return MomentInversion(RINGS, BOX, expansion, sphere, moments or nothing_measured(), spread)


def images_of(coefficients, rotation, lattice, noise, ctf, seed=1):
    """A batch of exact slices, times a CTF, with white noise of a variance."""
    k = torch.nn.functional.pad(lattice.k.double(), (0, 1)) @ rotation
    clean = SHARP.combined(SHARP.design(k), coefficients) * ctf
    random = normal(2, *clean.shape, seed=seed) * math.sqrt(noise / 2)
    random[1, :, 0], random[0, :, 0] = 0.0, random[0, :, 0] * math.sqrt(2)  # the self-conjugate pixel
    count = len(rotation)
    return SimpleNamespace(
        images=(clean + torch.complex(*random))[:, None].to(torch.complex64),
        ctf=ctf.expand(count, 1, -1).float(),
        variance=torch.full((count, 1, lattice.size), float(noise)),
        valid=torch.ones(count, 1, dtype=torch.bool),
    )


def measured(coefficients, density: ViewDensity, count, noise, ctf=None) -> ImageMoments:
    lattice = Lattice.disc(BOX, 8)
    map_ = RingMap.of(RINGS, lattice)
    rotation = torch.from_numpy(density.rotations(count, np.random.default_rng(3))).double()
    ctf = torch.ones(lattice.size, dtype=torch.float64) if ctf is None else ctf(lattice)
    totals: dict[str, torch.Tensor] = {}
    for part in rotation.split(100):
        batch = images_of(coefficients, part, lattice, noise, ctf, seed=len(totals) + int(1e4 * float(part[0, 0, 0])))
        for name, value in ImageMoments.sums(RINGS, map_, lattice, batch).items():
            totals[name] = totals.get(name, 0) + value
    return ImageMoments.of(RINGS, map_, totals)


def misfit(found: tuple, moments: ImageMoments) -> list[float]:
    """Mean squared difference over its sampling variance, of each order."""
    parts = zip(found, moments.value, moments.weight, strict=True)
    return [float((weight * (one - other).abs().square()).mean()) for one, other, weight in parts]


def test_features_of_projected_gaussians():
    """Against the transform of two Gaussian blobs, which is known: an image's own features, off the grid."""
    lattice, sigma = Lattice.disc(BOX, 11, dtype=torch.float64), 1.3
    place = torch.tensor([[2.0, -1.5], [-3.0, 0.5]], dtype=torch.float64)

    def transform(k):
        envelope = torch.exp(-2 * (math.pi * sigma) ** 2 * k.square().sum(-1))
        return envelope * torch.exp(-2j * math.pi * (k @ place.T)).sum(-1)

    found = RingMap.of(RINGS, lattice)(transform(lattice.k)[None])[0]
    for feature, (order, ring) in enumerate(RINGS.features):
        angle = 2 * math.pi * torch.arange(360, dtype=torch.float64) / 360
        k = torch.stack([angle.cos(), angle.sin()], -1) * ring / BOX
        wanted = (transform(k) * torch.exp(-1j * order * angle)).mean()
        assert abs(found[feature] - wanted) < 2e-3, (order, ring)


def test_noise_has_the_covariance_that_is_taken_off():
    lattice = Lattice.disc(BOX, 7, dtype=torch.float64)
    map_ = RingMap.of(RINGS, lattice)
    variance = 1 + lattice.shell.double() / 5
    drawn = torch.complex(*normal(2, 20_000, lattice.size)) * (variance / 2).sqrt()
    drawn[:, 0] = drawn[:, 0].real * math.sqrt(2)
    feature = map_(drawn)
    sampled = feature.mT @ feature.conj() / len(feature)
    assert (sampled - map_.noise(variance)).abs().max() < 0.05 * map_.noise(variance).abs().max()


def test_uniform_second_moments_are_those_of_kam():
    """M_m(s, s') = Σ_l Y_lm(π/2, 0)² / (2l + 1) Σ_μ A_lμ(s) A_lμ(s'): Kam 1980, the harmonics by scipy."""
    a, sphere = normal(EXPANSION.size), ViewingSphere(2, order=4)
    _, found, _ = inversion(sphere).predicted(a, sphere.uniform)
    radius = torch.arange(1, SHELLS + 1, dtype=torch.float64) / BOX / EXPANSION.largest
    radial = EXPANSION.radial(radius.square())
    index = EXPANSION.index
    first, second = RINGS.products[1]
    for number, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        m, at = RINGS.features[one]
        _, beside = RINGS.features[other]
        wanted = 0.0
        for ell in range(m, len(EXPANSION.families)):
            own = torch.nonzero(index["l"] == ell)[:, 0]
            sums = torch.zeros(2, 2 * ell + 1, dtype=torch.float64)
            for row, s in enumerate((at, beside)):
                value = a[own] * radial[s - 1, index["radial"][own]] * radius[s - 1] ** ell
                sums[row].index_add_(0, index["m"][own] + ell, value)
            wanted += float(sums[0] @ sums[1]) * abs(sph_harm_y(ell, m, math.pi / 2, 0.0)) ** 2 / (2 * ell + 1)
        assert found[number].real.item() == pytest.approx(wanted, abs=1e-3 * float(found.abs().max()))
        assert abs(found[number].imag) < 1e-9


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_predicted_moments_are_those_of_images(noise):
    """A known map from a known density: sample moments of noisy images with a CTF differ by what sampling makes."""
    a, sphere = normal(SHARP.size, seed=4), ViewingSphere(8)
    power = float(SHARP.combined(SHARP.design(normal(2000, 3) * 0.05), a).abs().square().mean())

    def transfer(lattice):
        return torch.cos(4 * lattice.k.double().norm(dim=-1))

    moments = measured(a, ABOUT, 3000, noise * power, transfer if noise else None)
    grid = ViewingSphere(8, order=4).directions.numpy()
    grid = np.concatenate([grid, -grid])
    known = sphere.of_table(torch.from_numpy(np.concatenate([grid, ABOUT.density(grid)[:, None]], 1)))
    right = misfit(inversion(sphere, expansion=SHARP).predicted(a, known), moments)
    assert max(right) < 2.5
    wrong = misfit(inversion(sphere, expansion=SHARP).predicted(a, sphere.uniform), moments)
    assert min(wrong) > 1.5 * max(right)
    assert noise or moments.one_sidedness > 3


def test_one_sidedness_of_uniform_views():
    moments = measured(normal(SHARP.size, seed=4), ViewDensity(), 3000, 0.0)
    assert moments.one_sidedness < 1.4


def test_a_map_and_its_views_from_their_moments():
    """Moments as exact as predicted ones: the cost falls to that of the priors, and the density is found."""
    a, sphere = normal(EXPANSION.size, seed=7) * 0.3, ViewingSphere(2)
    density = sphere.uniform.clone()
    density[1:] = 0.25 * normal(len(density) - 1, seed=8)
    assert float(sphere.as_table(density)[:, 3].min()) > 0
    whole = inversion(sphere).predicted(a, density)
    power = [value.abs().square().mean() for value in whole]
    weight = tuple(torch.full((len(v),), 1e3 / float(p)).double() for v, p in zip(whole, power, strict=True))
    problem = inversion(sphere, ImageMoments(whole, weight, 1))
    found = min((problem.solve(0.1 * normal(EXPANSION.size, seed=s), 150) for s in range(2)), key=lambda one: one.cost)
    assert found.misfit < 1.0
    # the frame and the hand are free; how far the density is from uniform is not, degree by degree
    for columns in (slice(1, 6), slice(6, 9)):
        assert float(found.density[columns].norm()) == pytest.approx(float(density[columns].norm()), rel=0.25)


def test_density_of_a_table_and_back():
    """von Mises-Fisher: the mean along the axis is coth κ - 1/κ, so the harmonics of degree 1 are √3 times that."""
    sphere, kappa = ViewingSphere(6), 1.5
    grid = ViewingSphere(1, order=4).directions.numpy()
    grid = np.concatenate([grid, -grid])
    about = ViewDensity(kappa, ((0.0, 3.0, 4.0),))
    density = sphere.of_table(torch.from_numpy(np.concatenate([grid, about.density(grid)[:, None]], 1)))
    along = 1 / math.tanh(kappa) - 1 / kappa
    assert float(density[sphere.even : sphere.even + 3].norm()) == pytest.approx(math.sqrt(3) * along, rel=1e-3)
    table = sphere.as_table(density).numpy()
    np.testing.assert_allclose(table[:, 3], about.density(table[:, :3]), atol=0.02)
    assert table[:, 3].mean() == pytest.approx(1.0, abs=1e-3)


def test_fitted_density_is_the_least_squares_one_and_not_negative():
    sphere = ViewingSphere(2)
    products = normal(len(sphere.directions), 400), normal(len(sphere.directions), 400, seed=1)
    wanted = sphere.uniform.clone()
    wanted[2], wanted[7] = 0.3, -0.2
    even, odd = sphere.weights(wanted)
    exact, _ = sphere.fitted(products, (even @ products[0], odd @ products[1]), torch.full((400,), 1e8).double())
    torch.testing.assert_close(exact, wanted, atol=1e-4, rtol=0)
    steep = wanted * torch.where(torch.arange(9) > 0, 8.0, 1.0)  # negative on a part of the sphere
    even, odd = sphere.weights(steep)
    found, cost = sphere.fitted(products, (even @ products[0], odd @ products[1]), torch.full((400,), 1e8).double())
    assert float(sphere.as_table(steep)[:, 3].min()) < -1
    assert float(sphere.as_table(found)[:, 3].min()) > 0.6 * float(sphere.as_table(steep)[:, 3].min())
    assert cost > 0


def test_orders_of_products_add_up_to_none():
    order = RINGS.order
    one, pair, triple = RINGS.products
    assert (order[one] == 0).all()
    assert (order[pair[0]] == order[pair[1]]).all()
    assert (order[triple[0]] + order[triple[1]] == order[triple[2]]).all()
    assert dataclasses.replace(RINGS, third=False).products[2].shape == (3, 0)
