"""Atomic distances against gemmi, scipy and cases solved by hand."""

import gemmi
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hypermol.errors import DataError
from hypermol.metrics import (
    backbone_dihedrals,
    backbone_rows,
    contact_map_distance,
    dihedral_distance,
    rmsd,
)
from hypermol.metrics.atomic import contact_map, dihedral, superposition

RNG = np.random.default_rng(0)


def positions_of(points):
    return [gemmi.Position(*point) for point in points.tolist()]


def test_superposition_is_gemmis_and_scipys():
    first = RNG.normal(size=(40, 3)) * 12
    second = (
        Rotation.from_rotvec([0.4, 2.0, -1.0]).apply(first) + np.array([4.0, 5.0, -60.0]) + RNG.normal(size=(40, 3))
    )
    oracle = gemmi.superpose_positions(positions_of(second), positions_of(first))
    assert rmsd(first, second) == pytest.approx(oracle.rmsd, abs=1e-8)
    rotation, translation = superposition(first, second)
    np.testing.assert_allclose(rotation, np.array(oracle.transform.mat.tolist()), atol=1e-8)
    np.testing.assert_allclose(translation, oracle.transform.vec.tolist(), atol=1e-7)
    weight = RNG.uniform(0.5, 3, 40)
    centred = [points - weight @ points / weight.sum() for points in (second, first)]
    _, residual = Rotation.align_vectors(*centred, weights=weight)
    assert rmsd(first, second, weight) == pytest.approx(residual / np.sqrt(weight.sum()), abs=1e-8)


def test_rmsd_solved_by_hand():
    square = np.array([[1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0], [0, -1.0, 0]])
    assert rmsd(square, 3 * square) == pytest.approx(2.0)
    assert rmsd(square, Rotation.from_euler("zx", [30, 50], degrees=True).apply(square) + 8.0) == pytest.approx(
        0.0, abs=1e-7
    )
    chiral = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    assert rmsd(chiral, chiral * [1, 1, -1]) > 0.5  # the mirror is another molecule
    with pytest.raises(DataError, match="at least 3 atoms"):
        rmsd(square[:2], square[:2])


def test_unrelated_models():
    first, second = RNG.normal(size=(2, 5000, 3)) * 10
    gyration = np.sqrt((first**2).sum(1).mean())
    assert rmsd(first, second) == pytest.approx(np.sqrt(2) * gyration, rel=0.02)
    angles = RNG.uniform(-180, 180, size=(2, 5000, 2))
    assert dihedral_distance(*angles) == pytest.approx(90.0, abs=2)


def test_contacts_solved_by_hand():
    line = np.stack([np.arange(8) * 4.0, np.zeros(8), np.zeros(8)], axis=1)
    assert not contact_map(line).any()
    assert contact_map_distance(line, line) == 0.0
    bent = line.copy()
    bent[4:] = [[12.0, 6.0, 0], [8.0, 6.0, 0], [4.0, 6.0, 0], [0.0, 6.0, 0]]
    by_hand = {(0, 6), (0, 7), (1, 5), (1, 6), (1, 7), (2, 5), (2, 6)}  # 6 Å and √(36 + 16) = 7.2 Å, 3 apart or more
    found = contact_map(bent)
    assert {tuple(pair) for pair in np.argwhere(np.triu(found))} == by_hand
    assert contact_map_distance(line, bent) == 1.0
    open_end = bent.copy()
    open_end[7] += [0, 20.0, 0]  # (0, 7) and (1, 7) are lost: 5 of 7 in common
    assert contact_map_distance(bent, open_end) == pytest.approx(2 / 7)
    moved = Rotation.from_rotvec([1.0, 2.0, 3.0]).apply(bent) + 40
    assert contact_map_distance(bent, moved) == 0.0


def test_contacts_against_gemmi_neighbours():
    points = RNG.uniform(0, 40, size=(150, 3))
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    structure[0].add_chain(gemmi.Chain("A"))
    for number, point in enumerate(points, start=1):
        residue, atom = gemmi.Residue(), gemmi.Atom()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(number, " ")
        atom.name, atom.pos = "CA", gemmi.Position(*point.tolist())
        residue.add_atom(atom)
        structure[0]["A"].add_residue(residue)
    search = gemmi.NeighborSearch(structure[0], gemmi.UnitCell(), 9).populate()
    oracle = np.zeros((150, 150), bool)
    for i, residue in enumerate(structure[0]["A"]):
        for mark in search.find_atoms(residue[0].pos, radius=9.0):
            oracle[i, mark.residue_idx] = abs(i - mark.residue_idx) >= 3
    np.testing.assert_array_equal(contact_map(points, 9.0), oracle)


def test_dihedrals_solved_by_hand():
    a, b, c = np.array([1.0, 0, 0]), np.array([0.0, 0, 0]), np.array([0.0, 0, 1])
    ends = {0.0: [1, 0, 1], 90.0: [0, 1, 1], -90.0: [0, -1, 1], 180.0: [-1, 0, 1]}
    for angle, end in ends.items():
        points = np.stack([a, b, c, np.array(end, float)])
        oracle = np.rad2deg(gemmi.calculate_dihedral(*positions_of(points)))
        found = float(dihedral(*points[:, None])[0])
        assert found == pytest.approx(oracle, abs=1e-9)
        assert abs(found) == pytest.approx(abs(angle), abs=1e-9)


def chain(count):
    """A chain of N, CA, C at about bonding distance, walking at random."""
    steps = RNG.normal(size=(3 * count, 3))
    walk = np.cumsum(1.4 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    return walk.reshape(count, 3, 3)


def residue_of(atoms):
    residue = gemmi.Residue()
    for name, point in zip(("N", "CA", "C"), atoms.tolist()):
        atom = gemmi.Atom()
        atom.name, atom.pos, atom.element = name, gemmi.Position(*point), gemmi.Element(name[0])
        residue.add_atom(atom)
    return residue


def test_backbone_angles_are_gemmis():
    atoms = chain(30)
    residues = [None, *(residue_of(one) for one in atoms), None]
    oracle = np.rad2deg([gemmi.calculate_phi_psi(*residues[i : i + 3]) for i in range(30)])
    np.testing.assert_allclose(backbone_dihedrals(*atoms.transpose(1, 0, 2)), oracle, atol=1e-7)


def test_a_break_has_no_angles():
    atoms = chain(10)
    atoms[5:] += 30.0
    angles = backbone_dihedrals(*atoms.transpose(1, 0, 2))
    assert np.isnan(angles[5, 0])
    assert np.isnan(angles[4, 1])
    assert np.isnan(angles).sum() == 4


def test_dihedral_distance_is_on_the_circle():
    first = np.array([[np.nan, 179.0], [-60.0, -45.0], [10.0, np.nan]])
    second = np.array([[5.0, -179.0], [-50.0, -45.0], [10.0, 3.0]])
    assert dihedral_distance(first, second) == pytest.approx((2 + 10 + 0 + 0) / 4)
    assert dihedral_distance(first, first) == 0.0
    with pytest.raises(DataError, match="no angle is known"):
        dihedral_distance(np.full((2, 2), np.nan), np.zeros((2, 2)))


def test_a_local_turn_that_rmsd_misses():
    """One peptide turned in 200 residues: the dihedrals that changed are told, and to the angle."""
    atoms = chain(200)
    turned = atoms.copy()
    axis = atoms[100, 2] - atoms[100, 1]
    turn = Rotation.from_rotvec(np.deg2rad(40) * axis / np.linalg.norm(axis))
    turned[101:] = turn.apply((atoms[101:] - atoms[100, 2]).reshape(-1, 3)).reshape(-1, 3, 3) + atoms[100, 2]
    before, after = (backbone_dihedrals(*one.transpose(1, 0, 2)) for one in (atoms, turned))
    changed = np.abs((after - before + 180) % 360 - 180)
    assert np.nanmax(changed) == pytest.approx(40.0, abs=1e-6)
    assert np.nansum(changed) == pytest.approx(40.0, abs=1e-4)  # psi of residue 100 alone
    assert dihedral_distance(before, after) == pytest.approx(40 / 398, abs=1e-6)


def test_rows_of_the_backbone():
    labels = ("A/1/N", "A/1/CA", "A/1/C", "A/1/O", "A/2/CA", "B/1/C", "B/1/N", "B/1/CA")
    np.testing.assert_array_equal(backbone_rows(labels), [[0, 1, 2], [6, 7, 5]])
    with pytest.raises(DataError, match="N, CA and C"):
        backbone_rows(("A/1/CA", "A/2/CA"))


def test_adenylate_kinase_opens(shared_data):
    """Two crystal structures: gemmi reads and superposes them itself; few backbone angles carry the motion."""
    from hypermol.simulation.model_files import read_model

    paths = [shared_data / "models" / name for name in ("adk_closed.pdb", "adk_open.pdb")]
    if not all(path.exists() for path in paths):
        pytest.skip("models of adenylate kinase are absent")
    models = [read_model(path) for path in paths]
    rows = [backbone_rows(model.labels) for model in models]
    backbone = [model.coordinates[row] for model, row in zip(models, rows)]
    closed, open_ = (atoms[:, 1] for atoms in backbone)
    oracle = gemmi.superpose_positions(positions_of(open_), positions_of(closed))
    assert rmsd(closed, open_) == pytest.approx(oracle.rmsd, abs=1e-6)
    assert 5 < rmsd(closed, open_) < 9  # 7.1 Å by the literature (1AKE to 4AKE)
    angles = [backbone_dihedrals(*atoms.transpose(1, 0, 2)) for atoms in backbone]
    for found, atoms in zip(angles, backbone):
        padded = [None, *(residue_of(one) for one in atoms), None]
        whole = np.rad2deg([gemmi.calculate_phi_psi(*padded[i : i + 3]) for i in range(len(atoms))])
        np.testing.assert_allclose(found, whole, atol=1e-6)
    assert 0 < dihedral_distance(*angles) < 20
    assert 0.02 < contact_map_distance(closed, open_) < 0.4
