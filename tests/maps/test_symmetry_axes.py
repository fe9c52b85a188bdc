"""Axes of symmetry found in maps that were turned and moved anywhere."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hypermol.errors import ConfigError, DataError
from hypermol.imaging import symmetry_generators, symmetry_rotations
from hypermol.maps import find_symmetry_axes, symmetry_agreement

BOX, BAND = 32, 10


def density(position: np.ndarray) -> torch.Tensor:
    """Gaussians at positions (x, y, z) in pixels from the centre."""
    axis = np.arange(BOX) - BOX // 2
    waves = np.exp(-((axis - position[..., None]) ** 2) / (2 * 1.5**2))
    return torch.from_numpy(np.einsum("nz,ny,nx->zyx", *waves.transpose(1, 0, 2)[::-1])).float()


def symmetric(group: str, seed: int) -> np.ndarray:
    """Positions of a molecule with the group, its axes where RELION puts them."""
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=(25, 3)) * 1.7 + rng.normal(size=3) * 3
    position = np.concatenate([unit @ turn.T for turn in symmetry_rotations(group).numpy()])
    return position * min(1, 11 / np.linalg.norm(position, axis=1).max())


@pytest.mark.parametrize("group", ["C2", "C5", "D2", "T", "I1"])
def test_axes_are_put_where_relion_has_them(group):
    """In noise, by what the molecule without noise then looks like under each rotation of the group."""
    turn, shift = Rotation.random(random_state=len(group)), np.array([1.3, -0.8, 1.9])
    exact = density(turn.apply(symmetric(group, 3)) + shift)
    noise = torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    found = find_symmetry_axes(exact + 0.15 * exact.std() * noise, group, BAND)
    assert symmetry_agreement(exact, group, BAND) < 0.7
    assert symmetry_agreement(found.place(exact), group, BAND) > 0.97


def test_agreement_of_a_map_in_place_is_one():
    for group in ("C4", "D5", "O"):
        assert symmetry_agreement(density(symmetric(group, 0)), group, BAND) > 0.99


def test_a_molecule_without_symmetry_has_little_agreement():
    rng = np.random.default_rng(5)
    map_ = density(rng.normal(size=(60, 3)) * (4, 3, 2))
    assert find_symmetry_axes(map_, "C3", BAND).agreement < 0.75


def test_first_and_last_generator_are_enough():
    """What the search of a second axis relies on."""
    for group in ("D2", "D5", "T", "O", "I1", "I2", "I3", "I4"):
        ends = [symmetry_generators(group)[0], symmetry_generators(group)[-1]]
        known = [torch.eye(3, dtype=torch.float64)]
        for element in known:
            for generator in ends:
                product = generator @ element
                if all(float((product - other).abs().max()) > 1e-6 for other in known):
                    known.append(product)
        assert len(known) == len(symmetry_rotations(group)), group
        torch.testing.assert_close(ends[0][:, 2], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))


def test_refusals():
    with pytest.raises(ConfigError, match="symmetry 'Q'"):
        find_symmetry_axes(torch.rand(16, 16, 16), "Q", 4)
    with pytest.raises((ConfigError, DataError), match="even"):
        find_symmetry_axes(torch.rand(15, 15, 15), "C2", 4)
