import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from hypermol.simulation import Arrangements, Recipe, Turns, build_molecule, hinge_atoms, pseudo_protein
from hypermol.simulation.motion_files import load_motion, save_motion


def motion_of(name, **settings):
    return build_molecule(Recipe.named(name, **settings)).motion


def test_hinge_is_the_shipped_molecule():
    hinge = hinge_atoms()
    assert np.bincount(hinge.atoms.chain).tolist() == [700, 400, 250]
    assert hinge.moving.sum() == 400
    assert hinge.range_deg == (-30.0, 30.0)
    assert hinge.sigma == 3.0
    assert np.linalg.norm(hinge.axis) == pytest.approx(1.0)


def test_a_turn_agrees_with_scipy_and_leaves_the_rest():
    motion, hinge = motion_of("hinge"), hinge_atoms()
    angles = np.array([[-30.0], [0.0], [17.5]])
    positions, weights = motion.atoms(angles)
    assert positions.shape == (3, 1350, 3)
    assert (weights == 1).all()
    for angle, found in zip(angles[:, 0], positions):
        turn = Rotation.from_rotvec(np.deg2rad(angle) * hinge.axis)
        moved = turn.apply(hinge.atoms.coordinates[hinge.moving] - hinge.pivot) + hinge.pivot
        np.testing.assert_allclose(found[hinge.moving], moved, atol=1e-9)
        np.testing.assert_array_equal(found[~hinge.moving], hinge.atoms.coordinates[~hinge.moving])


def test_turned_parts_stay_rigid_and_the_bond_stays():
    motion = motion_of("linear1d")
    moving = motion.turns[0].moving
    start, turned = motion.atoms(np.array([[0.0], [44.0]]))[0]
    np.testing.assert_allclose(pdist(start[moving][::20]), pdist(turned[moving][::20]), atol=1e-9)
    pivot_atom = pseudo_protein().bonds[1][1]
    np.testing.assert_allclose(start[pivot_atom], turned[pivot_atom], atol=1e-9)
    assert np.linalg.norm(start - turned, axis=1)[moving].mean() > 5.0


def test_hinge_angles_are_continuous_and_uniform():
    conformation, state = motion_of("hinge").draw(20_000, np.random.default_rng(0))
    assert conformation.min() > -30.0
    assert conformation.max() < 30.0
    assert np.std(conformation) == pytest.approx(60 / np.sqrt(12), rel=0.02)
    assert len(np.unique(conformation)) == 20_000
    np.testing.assert_array_equal(np.unique(state), np.arange(10))


@pytest.mark.parametrize(
    ("name", "states", "ends"),
    [
        ("linear1d", 50, [(-45.0,), (45.0,)]),
        ("circular1d", 100, [(0.0,), (356.4,)]),
        ("linear2d", 100, [(-45.0, 0.0), (0.0, 90.0)]),
    ],
)
def test_models_along_the_motions(name, states, ends):
    motion = motion_of(name)
    found = motion.states()
    assert found.shape == (states, len(ends[0]))
    np.testing.assert_allclose(found[[0, -1]], ends)
    conformation, state = motion.draw(3 * states + 1, np.random.default_rng(1))
    np.testing.assert_array_equal(found[state], conformation)
    counts = np.bincount(state, minlength=states)
    assert set(counts.tolist()) == {3, 4}


def test_states_on_a_circle_wrap():
    motion = motion_of("circular1d", levels=0)
    assert motion.nearest_state(np.array([[359.0], [1.0], [37.0], [343.0]])).tolist() == [0, 0, 1, 0]


def test_no_motion_makes_chains_collide():
    for name in ("linear1d", "linear2d", "circular1d"):
        motion = motion_of(name)
        for state in motion.states()[::5]:
            positions = motion.atoms(state[None])[0][0]
            assert cKDTree(positions).query(positions, k=2)[0][:, 1].min() > 3.0


def test_ten_arrangements_keep_chains_and_do_not_overlap():
    motion = motion_of("discrete10")
    assert isinstance(motion, Arrangements)
    assert motion.dim == 0
    assert len(motion.states()) == 10
    protein = pseudo_protein().atoms
    for model in motion.models:
        assert cKDTree(model.coordinates).query(model.coordinates, k=2)[0][:, 1].min() > 3.0
        for chain in range(5):
            members = protein.chain == chain
            np.testing.assert_allclose(
                pdist(model.coordinates[members][::30]), pdist(protein.coordinates[members][::30]), atol=1e-8
            )
    first, second = (pdist(model.coordinates[::40]) for model in motion.models[:2])
    assert np.abs(first - second).max() > 10.0


def test_homogeneous_has_no_coordinate():
    motion = motion_of("homogeneous")
    assert isinstance(motion, Turns)
    conformation, state = motion.draw(5, np.random.default_rng(0))
    assert conformation.shape == (5, 0)
    assert (state == 0).all()
    assert not motion.moving.any()


@pytest.mark.parametrize("name", ["hinge", "linear2d", "discrete10", "homogeneous"])
def test_motions_survive_the_disk(name, tmp_path):
    motion = motion_of(name)
    save_motion(tmp_path / "motion.npz", motion)
    loaded = load_motion(tmp_path / "motion.npz")
    np.testing.assert_array_equal(loaded.states(), motion.states())
    for before, after in zip(motion.atoms(motion.states()), loaded.atoms(motion.states())):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(loaded.moving, motion.moving)
