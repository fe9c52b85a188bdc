"""The user's own molecules: PDB and mmCIF files, a bond or a hinge to turn, a list of models."""

import numpy as np
import pytest

from hypermol.errors import ConfigError, DataError
from hypermol.simulation import Recipe, build_molecule, read_model, write_models


def columns_of_pdb(path):
    """Heavy atoms by the fixed columns of the format, without gemmi."""
    rows = []
    for line in path.read_text().splitlines():
        if line.startswith(("ATOM", "HETATM")) and line[16] in " A" and line[17:20].strip() not in ("HOH", "WAT"):
            element = line[76:78].strip() or line[12:16].strip().lstrip("0123456789")[0]
            if element not in ("H", "D"):
                rows.append([float(line[c : c + 8]) for c in (30, 38, 46)])
        if line.startswith("ENDMDL"):
            break
    return np.array(rows)


@pytest.mark.parametrize("name", ["adk_open.pdb", "1hzh.pdb"])
def test_pdb_atoms_match_the_columns_of_the_file(shared_data, name):
    path = shared_data / "models" / name
    atoms = read_model(path)
    expected = columns_of_pdb(path)
    assert atoms.count == len(expected)
    np.testing.assert_allclose(np.sort(atoms.coordinates, axis=0), np.sort(expected, axis=0), atol=1e-6)
    assert set(np.unique(atoms.weight)) <= {6.0, 7.0, 8.0, 15.0, 16.0}


def test_models_survive_mmcif(shared_data, tmp_path):
    atoms = read_model(shared_data / "models" / "1hzh.pdb")
    moved = atoms.coordinates + 1.0
    write_models([tmp_path / "a.cif", tmp_path / "b.cif"], atoms, [atoms.coordinates, moved])
    first, second = (read_model(tmp_path / f"{name}.cif") for name in "ab")
    assert first.labels == atoms.labels
    assert first.chain_names == atoms.chain_names
    np.testing.assert_allclose(first.coordinates, atoms.coordinates, atol=1e-3)
    np.testing.assert_allclose(second.coordinates, moved, atol=1e-3)
    np.testing.assert_array_equal(first.weight, atoms.weight)


def test_mmcif_and_gzip_are_read(shared_data):
    assert read_model(shared_data / "maps" / "5ni1_updated.cif").count > 1000


@pytest.mark.parametrize("text", ["", "not a model\n", "HEADER    EMPTY\nEND\n"])
def test_files_without_atoms_are_refused(tmp_path, text):
    (tmp_path / "m.pdb").write_text(text)
    with pytest.raises(DataError, match=r"m\.pdb"):
        read_model(tmp_path / "m.pdb")


def test_missing_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such model file"):
        read_model(tmp_path / "none.pdb")


def test_a_bond_of_your_own_turns_what_follows_it(shared_data):
    path = str(shared_data / "models" / "adk_open.pdb")
    recipe = Recipe.named("linear1d", model=path, bond=("A/120/CA", "A/121/CA"), range_deg=(0.0, 30.0), box=32)
    molecule = build_molecule(recipe)
    motion = molecule.motion
    assert len(motion.states()) == 50
    model = motion.model
    ends = [model.index("A/120/CA"), model.index("A/121/CA")]
    assert motion.moving.sum() == model.count - ends[1]
    start, turned = motion.atoms(np.array([[0.0], [30.0]]))[0]
    np.testing.assert_allclose(turned[ends], start[ends], atol=1e-9)
    assert molecule.pixel_size == pytest.approx(3 * molecule.radius / 32)
    assert molecule.sigma == 1.5


def test_a_hinge_of_your_own_is_in_the_frame_of_the_file(shared_data):
    path = str(shared_data / "models" / "1hzh.pdb")
    raw = read_model(path)
    pivot = tuple(raw.coordinates[raw.index("H/120/CA")].tolist())
    recipe = Recipe.named("hinge", model=path, pivot=pivot, axis=(0.0, 0.0, 2.0), moving=("H", "L"), box=64)
    motion = build_molecule(recipe).motion
    assert motion.continuous
    assert motion.moving.sum() == raw.in_chains(("H", "L")).sum()
    row = raw.index("H/120/CA")
    start, turned = motion.atoms(np.array([[0.0], [25.0]]))[0]
    np.testing.assert_allclose(turned[row], start[row], atol=1e-9)


def test_several_models_become_states(shared_data):
    names = [str(shared_data / "models" / f"groel_{state}.pdb") for state in ("apo", "holo")]
    motion = build_molecule(Recipe.named("states", models=tuple(names), box=64)).motion
    counts = [read_model(name).count for name in names]
    positions, weights = motion.atoms(motion.states())
    assert positions.shape[:2] == (2, max(counts))
    assert [(row > 0).sum() for row in weights] == counts
    raw = [read_model(name).coordinates for name in names]
    np.testing.assert_allclose(positions[0, 0] - positions[1, 0], raw[0][0] - raw[1][0], atol=1e-9)


def test_wrong_labels_and_chains_say_what_there_is(shared_data):
    path = str(shared_data / "models" / "1hzh.pdb")
    with pytest.raises(ConfigError, match=r"no atom 'H/120/XX'.*H/120/"):
        build_molecule(Recipe.named("linear1d", model=path, bond=("H/119/CA", "H/120/XX")))
    with pytest.raises(ConfigError, match=r"no chain 'Q'; its chains: H, K"):
        build_molecule(Recipe.named("hinge", model=path, pivot=(0.0, 0.0, 0.0), axis=(0.0, 0.0, 1.0), moving=("Q",)))
