import numpy as np
import pytest
from scipy.spatial import cKDTree

from hypermol.errors import ConfigError
from hypermol.simulation import pseudo_protein, rasterise_gaussians


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_chains_are_self_avoiding_walks(seed):
    atoms = pseudo_protein(1350, seed).atoms
    assert atoms.count == 1350
    assert len(atoms.chain_names) == 5
    nearest = cKDTree(atoms.coordinates).query(atoms.coordinates, k=2)[0][:, 1]
    assert nearest.min() >= 3.6 - 1e-9
    steps = np.linalg.norm(np.diff(atoms.coordinates, axis=0), axis=1)[np.diff(atoms.chain) == 0]
    np.testing.assert_allclose(steps, 3.8, atol=1e-9)


def test_it_is_a_function_of_the_seed():
    first, again, other = (pseudo_protein(600, seed).atoms.coordinates for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 5


def test_it_is_compact():
    coordinates = pseudo_protein().atoms.coordinates
    assert np.linalg.norm(coordinates, axis=1).max() < 80
    core = coordinates[:539]
    assert np.sqrt(np.var(core, axis=0).sum()) < 25


def test_bonds_join_arms_to_the_core():
    protein = pseudo_protein()
    for arm, (foot, first) in protein.bonds.items():
        assert protein.atoms.chain[foot] == 0
        assert protein.atoms.chain[first] == arm
        assert np.linalg.norm(np.subtract(*protein.atoms.coordinates[[foot, first]])) == pytest.approx(3.8)


def test_no_rotation_makes_it_its_mirror_or_itself():
    """The map against itself and its mirror under the symmetries that could matter, after aligning the axes."""
    coordinates = pseudo_protein().atoms.coordinates
    spread = np.linalg.eigh(np.cov(coordinates.T))
    assert np.diff(spread[0]).min() > 0.05 * spread[0].max()
    axes = coordinates @ spread[1]
    maps = {}
    for signs in np.stack(np.meshgrid([1, -1], [1, -1], [1, -1]), axis=-1).reshape(-1, 3):
        maps[tuple(signs)] = rasterise_gaussians((axes * signs)[None], np.ones((1, 1350)), 32, 6.0, 6.0).flatten()
    reference = maps.pop((1, 1, 1))
    for map_ in maps.values():
        assert float(reference @ map_ / (reference.norm() * map_.norm())) < 0.9


def test_too_few_atoms_are_refused():
    with pytest.raises(ConfigError, match="at least 100"):
        pseudo_protein(20)
