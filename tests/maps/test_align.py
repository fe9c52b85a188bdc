"""Alignment against Gaussians whose every placement is known exactly, scipy's rotations, and torch's own turns."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hypermol.errors import ConfigError, DataError
from hypermol.imaging import geodesic_angle_deg
from hypermol.maps.align import align_maps, transform_map
from hypermol.maps.align_refine import refinement
from hypermol.maps.align_transform import spline_transform

BOX = 32


class Molecule:
    """Gaussians at positions (x, y, z) in pixels from the centre: its map after any placement has a formula."""

    def __init__(self, seed=0, count=60, box=BOX):
        rng = np.random.default_rng(seed)
        self.box = box
        self.position = rng.normal(size=(count, 3)).clip(-1.7, 1.7) * box / 10.5 * np.array([1.3, 1.0, 0.7])
        self.amplitude, self.sigma = rng.uniform(0.5, 1.5, count), rng.uniform(1.3, 2.0, count)

    def map(self, rotation=None, shift=(0.0, 0.0, 0.0), mirrored=False):
        placed = self.position * ([1, 1, -1] if mirrored else [1, 1, 1])
        placed = (placed if rotation is None else rotation.apply(placed)) + np.asarray(shift)
        axis = np.arange(self.box) - self.box // 2
        waves = np.exp(-((axis - placed[..., None]) ** 2) / (2 * self.sigma[:, None, None] ** 2))
        return torch.from_numpy(np.einsum("n,nz,ny,nx->zyx", self.amplitude, *waves.transpose(1, 0, 2)[::-1]))


def as_tensor(rotation):
    return torch.from_numpy(rotation.as_matrix())


ANY = Rotation.from_rotvec([0.7, -1.4, 1.1])
SHIFT = (1.7, -0.6, 2.3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_transform_against_the_formula(mirrored):
    molecule = Molecule()
    expected = molecule.map(ANY, SHIFT, mirrored)
    found = transform_map(molecule.map(), as_tensor(ANY), torch.tensor(SHIFT, dtype=torch.float64), mirrored)
    assert float((found - expected).abs().max() / expected.abs().max()) < 5e-4
    single = transform_map(molecule.map().float(), as_tensor(ANY), torch.tensor(SHIFT), mirrored)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), found, atol=1e-5 * float(found.max()), rtol=0)


def test_transform_against_scipy():
    """ndimage's spline in real space, which knows nothing of transforms."""
    map_, matrix = Molecule(1).map(), as_tensor(ANY).numpy()
    to_source = matrix.T[::-1, ::-1]  # arrays are indexed z, y, x
    centre = np.full(3, BOX // 2)
    offset = centre - to_source @ (centre + np.array(SHIFT)[::-1])
    expected = ndimage.affine_transform(map_.numpy(), to_source, offset, order=5)
    found = transform_map(map_, torch.from_numpy(matrix), torch.tensor(SHIFT, dtype=torch.float64))
    assert np.abs(found.numpy() - expected).max() < 1e-3 * expected.max()


def test_quarter_turns_whole_shifts_and_mirror():
    map_, still = Molecule(2).map(), torch.zeros(3, dtype=torch.float64)
    scale = float(map_.max())
    quarter = as_tensor(Rotation.from_euler("z", 90, degrees=True))  # x → y
    turned = torch.roll(torch.rot90(map_, 1, (2, 1)), 1, 2)  # index i → (D - i) mod D where an axis is reversed
    torch.testing.assert_close(transform_map(map_, quarter, still), turned, atol=3e-4 * scale, rtol=0)
    one = torch.eye(3, dtype=torch.float64)
    moved = transform_map(map_, one, torch.tensor([3.0, 0.0, -2.0], dtype=torch.float64))
    torch.testing.assert_close(moved, torch.roll(map_, (3, -2), (2, 0)), atol=3e-4 * scale, rtol=0)
    flipped = torch.roll(map_.flip(0), 1, 0)
    torch.testing.assert_close(transform_map(map_, one, still, True), flipped, atol=3e-4 * scale, rtol=0)


def test_slopes_of_the_score_by_differences():
    """The slope along rotation and shift against central differences, with unequal shells and any placement."""
    molecule = Molecule(3, box=20)
    rule = refinement(spline_transform(molecule.map(), 9), spline_transform(molecule.map(ANY, SHIFT), 9), 20, 8)
    weight = torch.linspace(1, 2, 9, dtype=torch.float64)[rule.shell]
    start, shift = Rotation.from_rotvec([0.05, -0.04, 0.02]) * ANY, torch.tensor(SHIFT, dtype=torch.float64) + 0.2
    _, slope, _ = rule._expanded(as_tensor(start), shift, weight)
    for i in range(6):
        values = []
        for sign in (1, -1):
            step = np.zeros(6)
            step[i] = sign * 1e-5
            turned = as_tensor(Rotation.from_rotvec(step[:3]) * start)
            values.append(rule._expanded(turned, shift + 20 * torch.from_numpy(step[3:]), weight)[0])
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(slope[i]), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_any_placement_is_found(mirrored):
    """Rotation to 0.05°, shift to 0.01 px and hand, of a molecule placed by scipy's rotation."""
    molecule = Molecule(4 + mirrored)
    found = align_maps(molecule.map().float(), molecule.map(ANY, SHIFT, mirrored).float(), order=1)
    assert found.mirrored is mirrored
    assert float(geodesic_angle_deg(found.rotation, as_tensor(ANY))) < 0.05
    np.testing.assert_allclose(found.shift_px.numpy(), SHIFT, atol=0.01)
    assert found.correlation > 0.9999
    assert found.aligned.dtype == torch.float32


@pytest.mark.parametrize("seed", [0, 1])
def test_random_placements_in_noise(seed):
    """Noise as strong as half the map's own spread in both maps: within 3° and 0.3 px, right hand."""
    rng, molecule = np.random.default_rng(seed), Molecule(10 + seed)
    rotation, shift, mirrored = Rotation.random(rng=rng), rng.uniform(-3, 3, 3), bool(rng.integers(2))
    pair = [molecule.map(), molecule.map(rotation, shift, mirrored)]
    noisy = [m + 0.5 * m.std() * torch.from_numpy(rng.normal(size=m.shape)) for m in pair]
    found = align_maps(*noisy, order=1)
    assert found.mirrored is mirrored
    assert float(geodesic_angle_deg(found.rotation, as_tensor(rotation))) < 3.0
    np.testing.assert_allclose(found.shift_px.numpy(), shift, atol=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_placements_at_64_px(seed):
    rng, molecule = np.random.default_rng(seed), Molecule(20 + seed, box=64)
    rotation, shift, mirrored = Rotation.random(rng=rng), rng.uniform(-5, 5, 3), bool(rng.integers(2))
    pair = [molecule.map(), molecule.map(rotation, shift, mirrored)]
    noisy = [(m + 0.5 * m.std() * torch.from_numpy(rng.normal(size=m.shape))).float() for m in pair]
    found = align_maps(*noisy)
    assert found.mirrored is mirrored
    assert float(geodesic_angle_deg(found.rotation, as_tensor(rotation))) < 0.2
    np.testing.assert_allclose(found.shift_px.numpy(), shift, atol=0.03)


def test_the_given_hand_is_kept_when_asked():
    molecule = Molecule(6)
    kept = align_maps(molecule.map(), molecule.map(ANY, SHIFT, True), order=1, either_hand=False)
    assert kept.mirrored is False
    assert kept.correlation < 0.995


def test_unrelated_maps_do_not_correlate():
    """Nothing in common: the best of all placements stays far from 1."""
    noise = torch.randn(2, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    assert abs(align_maps(noise[0], noise[1], order=1).correlation) < 0.2
    assert align_maps(noise[0], noise[0], order=1).correlation > 0.7  # all but the transform's corners


def test_refusals():
    map_ = Molecule(box=8).map()
    with pytest.raises((DataError, TypeError)):
        align_maps(map_, torch.ones(10, 10, 10, dtype=torch.float64))
    with pytest.raises(DataError, match="density in the fixed map"):
        align_maps(map_, torch.zeros_like(map_))
    with pytest.raises(DataError, match="even"):
        align_maps(map_[1:, 1:, 1:], map_[1:, 1:, 1:])
    with pytest.raises(ConfigError, match="1 to 3 shells"):
        align_maps(map_, map_, band_limit=4)
    with pytest.raises(DataError, match="expected a rotation"):
        transform_map(map_, torch.diag(torch.tensor([1.0, 1.0, -1.0])), torch.zeros(3))
