"""One projection, four routes: analytic images, the closed formula, the slice of the rasterised map by an exact
Fourier sum, and the slice by the package's own kernels."""

import numpy as np
import pytest
import torch

from hypermol.imaging.ctf import CTF
from hypermol.imaging.fourier import fft2, images_to_packed
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.rotations import random_rotations
from hypermol.imaging.shifts import shift_phase
from hypermol.simulation import Camera, hinge_atoms, padded_box, project_gaussians, rasterise_gaussians
from hypermol.simulation.project import fast_size

ATOMS = hinge_atoms().atoms
WEIGHTS = np.random.default_rng(5).uniform(0.5, 2.0, size=(1, ATOMS.count))
POSITIONS = ATOMS.coordinates[None]
ROTATIONS = random_rotations(4, torch.Generator().manual_seed(1), torch.float64)
SHIFTS = np.random.default_rng(6).uniform(-6, 6, size=(4, 2))


def correlation(a, b):
    a, b = a.to(torch.complex128).flatten(), b.to(torch.complex128).flatten()
    return float((a * b.conj()).sum().real / (a.norm() * b.norm()))


def closed_form(lattice, pixel_size, sigma):
    """exp(-2π²σ²k²) Σ w exp(-2πi k·(R r + τ)), straight from the definition."""
    projected = torch.einsum("bij,nj->bni", ROTATIONS[:, :2], torch.from_numpy(POSITIONS[0]))
    projected = (projected + torch.from_numpy(SHIFTS)[:, None]) / pixel_size
    waves = torch.exp(-2j * torch.pi * torch.einsum("pi,bni->bpn", lattice.k.double(), projected))
    width = torch.exp(-2 * torch.pi**2 * (sigma / pixel_size) ** 2 * lattice.k.double().square().sum(-1))
    return (waves * torch.from_numpy(WEIGHTS)).sum(-1) * width


def exact_slices(map_, lattice, pixel_size):
    """Slices of a map by the Fourier sum over all voxels: no grid, no interpolation."""
    k3 = torch.einsum("bij,pi->bpj", ROTATIONS[:, :2], lattice.k.double())
    r = torch.arange(map_.shape[-1], dtype=torch.float64) - map_.shape[-1] // 2
    x, y, z = (torch.exp(-2j * torch.pi * k3[..., axis, None] * r) for axis in range(3))
    along_x = torch.einsum("zyx,bpx->bpzy", map_.to(torch.complex128), x)
    slices = torch.einsum("bpzy,bpy,bpz->bp", along_x, y, z)
    return slices * shift_phase(lattice.k.double(), torch.from_numpy(SHIFTS) / pixel_size)


def images(camera, transfer=None):
    return project_gaussians(POSITIONS, WEIGHTS, ROTATIONS.numpy(), SHIFTS, camera, transfer)


@pytest.mark.parametrize(("box", "pixel_size", "sigma"), [(64, 3.0, 3.0), (32, 6.0, 3.0), (48, 4.0, 5.0)])
def test_images_follow_the_closed_formula(box, pixel_size, sigma):
    found = images_to_packed(images(Camera(box, 2 * box, pixel_size, sigma)), Lattice.disc(box))
    expected = closed_form(Lattice.disc(box), pixel_size, sigma)
    assert correlation(found, expected) > 0.99999
    inner = Lattice.disc(box, box // 4)
    assert correlation(found[:, : inner.size], expected[:, : inner.size]) > 1 - 1e-5
    scale = float((found * expected.conj()).sum().real / expected.abs().square().sum())
    assert scale == pytest.approx(1.0, abs=1e-4)


def test_without_crop_the_formula_holds_to_five_digits():
    box = 64
    found = images_to_packed(images(Camera(box, box, 3.0, 3.0)), Lattice.disc(box))
    expected = closed_form(Lattice.disc(box), 3.0, 3.0)
    assert float((found - expected).abs().max() / expected.abs().max()) < 2e-5


@pytest.mark.parametrize(("box", "pixel_size", "sigma"), [(32, 6.0, 3.0), (32, 6.0, 6.0)])
def test_images_are_slices_of_the_rasterised_map(box, pixel_size, sigma):
    map_ = rasterise_gaussians(POSITIONS, WEIGHTS, box, pixel_size, sigma)
    lattice = Lattice.disc(box)
    found = images_to_packed(images(Camera(box, 2 * box, pixel_size, sigma)), lattice)
    assert correlation(found, exact_slices(map_, lattice, pixel_size)) > 0.9999


def test_images_agree_with_the_slices_of_the_kernels():
    from hypermol.kernels import slice_grid, volume_to_grid

    box, pixel_size = 64, 3.0
    map_ = rasterise_gaussians(POSITIONS, WEIGHTS, box, pixel_size, 3.0)
    lattice = Lattice.disc(box, 25)
    k3 = torch.einsum("bij,pi->bpj", ROTATIONS[:, :2].float(), lattice.k)
    slices = slice_grid(volume_to_grid(map_), k3, box)[..., 0]
    slices = slices * shift_phase(lattice.k, torch.from_numpy(SHIFTS).float() / pixel_size)
    found = images_to_packed(images(Camera(box, 2 * box, pixel_size, 3.0)), lattice)
    assert correlation(found, slices) > 0.9995  # what trilinear interpolation leaves at oversampling 2


def test_ctf_multiplies_the_transform():
    box, pixel_size = 64, 3.0
    camera = Camera(box, box, pixel_size, 3.0)
    ctf = CTF.create([9000.0, 12000.0, 15000.0, 30000.0], [9500.0, 11000.0, 15000.0, 28000.0], 0.7)
    lattice = Lattice.disc(box)
    found = images_to_packed(images(camera, camera.transfer(ctf)), lattice)
    expected = closed_form(lattice, pixel_size, 3.0) * ctf.evaluate(lattice.k.double(), pixel_size)
    assert correlation(found, expected) > 1 - 1e-8


def test_padding_is_wide_enough_and_not_padding_is_not():
    box, pixel_size, ctf = 48, 4.0, CTF.create([25000.0] * 4)
    reach = float(np.linalg.norm(POSITIONS[0], axis=1).max()) + 9.0 + 9.0
    padded = padded_box(box, pixel_size, reach, 25000.0, voltage_kv=300.0, cs_mm=2.7)
    made = {}
    for size in (box, padded, 4 * box):
        camera = Camera(box, size, pixel_size, 3.0)
        made[size] = images(camera, camera.transfer(ctf))
    scale = made[4 * box].abs().max()
    assert float((made[padded] - made[4 * box]).abs().max() / scale) < 2e-3
    assert float((made[box] - made[4 * box]).abs().max() / scale) > 2e-2


def test_total_is_the_sum_of_weights_and_shift_moves_the_centre():
    camera = Camera(64, 64, 3.0, 3.0)
    found = images(camera).double()
    np.testing.assert_allclose(found.sum((1, 2)).numpy(), WEIGHTS.sum(), rtol=1e-5)
    pixel = (torch.arange(64, dtype=torch.float64) - 32) * 3.0
    centre = torch.stack([(found.sum(1) * pixel).sum(-1), (found.sum(2) * pixel).sum(-1)], dim=-1) / WEIGHTS.sum()
    mass = torch.from_numpy(np.average(POSITIONS[0], axis=0, weights=WEIGHTS[0]))
    expected = torch.einsum("bij,j->bi", ROTATIONS[:, :2], mass) + torch.from_numpy(SHIFTS)
    np.testing.assert_allclose(centre.numpy(), expected.numpy(), atol=2e-2)


def test_atoms_at_the_border_are_dropped_not_wrapped():
    camera = Camera(16, 16, 3.0, 3.0)
    far = np.array([[[200.0, 0.0, 0.0]]])
    empty = project_gaussians(far, np.ones((1, 1)), np.eye(3)[None], np.zeros((1, 2)), camera)
    assert float(empty.abs().max()) == 0.0


def test_rasterised_map_has_the_right_hand_and_axes():
    one = rasterise_gaussians(np.array([[[9.0, -6.0, 3.0]]]), np.ones((1, 1)), 32, 3.0, 4.0)
    z, y, x = np.unravel_index(int(one.argmax()), one.shape)
    assert (x, y, z) == (16 + 3, 16 - 2, 16 + 1)
    assert float(one.sum()) == pytest.approx(1.0, abs=1e-4)


def test_fast_sizes_are_smooth_multiples_of_four():
    assert [fast_size(n) for n in (1, 32, 33, 97, 99, 129)] == [4, 32, 36, 100, 100, 144]


def test_transform_has_no_nyquist_rows():
    spectrum = fft2(images(Camera(32, 32, 6.0, 3.0)))
    assert float(spectrum[:, 0].abs().max()) < 1e-2
    assert float(spectrum[:, :, 0].abs().max()) < 1e-2
