"""RELION and Warp star files: poses, CTF and pixel sizes against outside answers."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

from hypermol.particles import StackWriter, read_particles, write_star


def _outside(path: Path) -> tuple[np.ndarray, ...]:
    """The arrays of a cryoDRGN pickle, by pickle itself (test data only)."""
    with open(path, "rb") as file:
        return pickle.load(file)


def _image_rotations(particles) -> np.ndarray:
    rotation = particles.rotation[particles.image_particle]
    return rotation if particles.tilt is None else particles.tilt @ rotation


def _image_shifts(particles) -> np.ndarray:
    shift = particles.shift[particles.image_particle]
    if particles.tilt is None:
        return shift
    return np.einsum("mij,mj->mi", particles.tilt, shift)[:, :2] + particles.image_shift


def test_warp_tilt_star_against_cryodrgns_poses(shared_data: Path):
    particles = read_particles(shared_data / "cryodrgn_tests/sta_testing_bin8.star")
    rotation, _ = _outside(shared_data / "cryodrgn_tests/sta_pose.pkl")
    np.testing.assert_allclose(_image_rotations(particles), rotation, atol=1e-12)
    assert (particles.count, particles.images, particles.pixel_size) == (6, 219, 1.96)
    assert np.bincount(particles.image_particle).tolist() == particles.images_per_particle.tolist()
    assert particles.images_per_particle.min() >= 24
    # the tilts of a stage: the axis of the large ones is the same within a few degrees
    assert Rotation.from_matrix(particles.tilt).magnitude().max() == pytest.approx(np.deg2rad(60), abs=0.2)
    assert "219 images of 6 particles, joined by rlnGroupName" in particles.notes


def test_single_particle_star_against_cryodrgns_parse(shared_data: Path):
    particles = read_particles(
        shared_data / "cryodrgn_tests/FinalRefinement-OriginalParticles-PfCRT.star", require_images=False
    )
    rotation, fraction = _outside(shared_data / "cryodrgn_tests/pose.star.pkl")
    np.testing.assert_allclose(particles.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(-particles.shift / (particles.pixel_size * 300), fraction, atol=1e-12)
    table = _outside(shared_data / "cryodrgn_tests/ctf1.pkl")
    np.testing.assert_allclose(particles.ctf.defocus_u, table[:, 2], rtol=1e-6)
    np.testing.assert_allclose(particles.ctf.astigmatism_angle, np.deg2rad(table[:, 4]), rtol=1e-6)
    assert particles.pixel_size == pytest.approx(table[0, 1], rel=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "cryodrgn_tests/relion31.star",
        "cryodrgn_tests/relion5.star",
        "cryodrgn_tests/FinalRefinement-OriginalParticles-PfCRT.star",
        "aspire_tests/sample_particles_relion30.star",
        "aspire_tests/sample_particles_relion31.star",
        "cryolike/relion_style_particles.star",
        "relion313_reference/proj48_ctf.star",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_columns_against_starfile_and_scipy(shared_data: Path, name: str):
    blocks = starfile.read(shared_data / name, always_dict=True)
    table = blocks["particles"] if "particles" in blocks else next(iter(blocks.values()))
    if "optics" in blocks:
        shared = blocks["optics"].drop(columns=[c for c in blocks["optics"] if c != "rlnOpticsGroup" and c in table])
        table = table.merge(shared, on="rlnOpticsGroup", how="left")
    particles = read_particles(shared_data / name, require_images=False)
    angles = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy(float)
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(particles.rotation, expected, atol=1e-12)
    if "rlnImagePixelSize" in table:
        pixel = float(table["rlnImagePixelSize"].iloc[0])
    else:
        pixel = float((table["rlnDetectorPixelSize"] * 1e4 / table["rlnMagnification"]).iloc[0])
    assert particles.pixel_size == pytest.approx(pixel, rel=1e-12)
    unit, factor = ("Angst", 1.0) if "rlnOriginXAngst" in table else ("", pixel)
    origin = table[[f"rlnOriginX{unit}", f"rlnOriginY{unit}"]].to_numpy(float) * factor
    np.testing.assert_allclose(particles.shift, -origin, atol=1e-9)
    ctf = particles.ctf
    for ours, theirs in (
        (ctf.defocus_u, table["rlnDefocusU"]),
        (ctf.defocus_v, table["rlnDefocusV"]),
        (np.rad2deg(ctf.astigmatism_angle.numpy()), table["rlnDefocusAngle"]),
        (ctf.voltage_kv, table["rlnVoltage"]),
        (ctf.cs_mm, table["rlnSphericalAberration"]),
        (np.rad2deg(ctf.phase_shift.numpy()), table.get("rlnPhaseShift", 0.0)),
        (ctf.b_factor, table.get("rlnCtfBfactor", 0.0)),
        (ctf.scale, table.get("rlnCtfScalefactor", 1.0)),
        (ctf.amplitude_contrast, table.get("rlnAmplitudeContrast", 0.1)),
    ):
        np.testing.assert_allclose(np.asarray(ours), np.broadcast_to(theirs, particles.images), rtol=1e-12, atol=1e-9)
    numbers = table["rlnImageName"].str.split("@").str[0].astype(int).to_numpy() - 1
    np.testing.assert_array_equal(particles.image_index, numbers)
    if "rlnRandomSubset" in table and table["rlnRandomSubset"].nunique() == 2:
        np.testing.assert_array_equal(particles.half, table["rlnRandomSubset"] - 1)


def test_version_30_and_its_conversion_by_relion_are_the_same(shared_data: Path):
    """relion_convert_star wrote the 3.1 file from the 3.0 one (in single precision)."""
    old = read_particles(shared_data / "aspire_tests/sample_particles_relion30.star")
    new = read_particles(shared_data / "relion313_reference/s30_to31.star", datadir=shared_data / "aspire_tests")
    np.testing.assert_allclose(new.rotation, old.rotation, atol=1e-6)
    np.testing.assert_allclose(new.shift, old.shift, atol=1e-5)
    np.testing.assert_array_equal(new.half, old.half)
    np.testing.assert_array_equal(new.optics_group, old.optics_group)
    assert new.pixel_size == pytest.approx(old.pixel_size, rel=1e-6)
    for name in ("defocus_u", "voltage_kv", "cs_mm", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(new.ctf, name), getattr(old.ctf, name), rtol=1e-6)
    assert old.stacks == new.stacks


def test_blocks_in_any_order(shared_data: Path):
    first = read_particles(shared_data / "cryodrgn_tests/relion31.star")
    second = read_particles(shared_data / "cryodrgn_tests/relion31.v2.star")
    np.testing.assert_array_equal(first.rotation, second.rotation)
    assert first.pixel_size == second.pixel_size
    assert first.optics_names == second.optics_names


def test_what_is_ignored_is_said(shared_data: Path):
    notes = read_particles(shared_data / "cryodrgn_tests/relion5.star", require_images=False).notes
    assert any("beam tilt and higher aberrations" in note for note in notes)
    assert any("anisotropic magnification" in note for note in notes)


def test_images_are_tied_to_rows_by_their_numbers(tmp_path: Path):
    """Rows in another order than the stacks, two stacks, numbers that repeat."""
    values = {"a": np.arange(10, 15), "b": np.arange(20, 27)}
    for name, marks in values.items():
        with StackWriter(tmp_path / f"{name}.mrcs", 8, 2.0) as stack:
            stack.append(marks[:, None, None] + np.linspace(0, 0.5, 64).reshape(1, 8, 8))
    files = ["b.mrcs", "a.mrcs", "b.mrcs", "a.mrcs", "b.mrcs"]
    numbers = [6, 4, 0, 0, 6]
    write_star(tmp_path / "x.star", files, box=8, pixel_size=2.0, image_index=numbers)
    particles = read_particles(tmp_path / "x.star")
    from hypermol.particles.raw import open_stacks, read_raw

    pixels = read_raw(particles, open_stacks(particles), np.arange(5))
    assert pixels[:, 0, 0].tolist() == [26, 14, 20, 10, 26]
    assert "no poses" in particles.notes


@pytest.mark.parametrize("place", ["beside", "project", "datadir", "basename"])
def test_where_stacks_are_looked_for(tmp_path: Path, place: str):
    star_folder = tmp_path / "Refine3D" / "job001"
    star_folder.mkdir(parents=True)
    name = "Extract/job000/p.mrcs"
    home = {"beside": star_folder, "project": tmp_path, "datadir": tmp_path / "d", "basename": tmp_path / "d"}[place]
    target = home / (name if place != "basename" else "p.mrcs")
    target.parent.mkdir(parents=True, exist_ok=True)
    with StackWriter(target, 8, 2.0) as stack:
        stack.append(np.random.default_rng(0).normal(size=(3, 8, 8)))
    write_star(star_folder / "x.star", name, box=8, pixel_size=2.0, count=3)
    datadir = tmp_path / "d" if place in ("datadir", "basename") else None
    assert read_particles(star_folder / "x.star", datadir=datadir).stacks[0].samefile(target)


def test_what_is_written_reads_back(star: Path):
    particles = read_particles(star)
    write_star(
        star.parent / "again.star",
        "particles.mrcs",
        box=32,
        pixel_size=particles.pixel_size,
        rotation=particles.rotation,
        shift=particles.shift,
        ctf=particles.ctf,
        half=particles.half,
        optics_group=particles.optics_group,
        optics_names=particles.optics_names,
        micrograph=particles.micrograph,
    )
    again = read_particles(star.parent / "again.star")
    np.testing.assert_allclose(again.rotation, particles.rotation, atol=3e-8)
    np.testing.assert_allclose(again.shift, particles.shift, atol=1e-6)
    for name in vars(particles.ctf):
        np.testing.assert_allclose(getattr(again.ctf, name), getattr(particles.ctf, name), atol=1e-6)
    assert again.half.tolist() == particles.half.tolist() == [0, 0, 1, 1] * 3
    assert again.micrograph == particles.micrograph
    assert again.optics_group.tolist() == particles.optics_group.tolist()


def _pairs(tmp_path: Path, groups: list[str], micrographs: list[str], rotation: np.ndarray, shift: np.ndarray, half):
    with StackWriter(tmp_path / "p.mrcs", 16, 2.0) as stack:
        stack.append(np.random.default_rng(0).normal(size=(len(groups), 16, 16)))
    write_star(
        tmp_path / "p.star",
        "p.mrcs",
        box=16,
        pixel_size=2.0,
        rotation=rotation,
        shift=shift,
        group=groups,
        micrograph=micrographs,
        half=half,
    )
    return read_particles(tmp_path / "p.star")


def test_tilt_pairs_give_back_the_shift_in_space(tmp_path: Path):
    generator = np.random.default_rng(3)
    count = 20
    rotation = Rotation.random(count, random_state=1).as_matrix()
    shift = generator.normal(size=(count, 3)) * 5
    tilt = Rotation.from_euler("y", 40, degrees=True).as_matrix()
    both = np.stack([rotation, tilt @ rotation], axis=1).reshape(-1, 3, 3)
    moved = np.stack([shift, shift @ tilt.T], axis=1).reshape(-1, 3)[:, :2]
    groups = [f"p{i // 2}" for i in range(2 * count)]
    micrographs = [f"m{i // 10}_{i % 2}" for i in range(2 * count)]
    particles = _pairs(tmp_path, groups, micrographs, both, moved, [i // 2 % 2 for i in range(2 * count)])
    assert (particles.count, particles.images) == (count, 2 * count)
    np.testing.assert_allclose(particles.rotation, rotation, atol=1e-7)
    np.testing.assert_allclose(particles.shift, shift, atol=1e-5)
    np.testing.assert_allclose(particles.image_shift, 0, atol=1e-5)
    np.testing.assert_allclose(particles.tilt[1::2], np.broadcast_to(tilt, (count, 3, 3)), atol=1e-7)
    np.testing.assert_allclose(_image_rotations(particles), both, atol=1e-7)
    np.testing.assert_allclose(_image_shifts(particles), moved, atol=1e-6)


@pytest.mark.parametrize("why", ["one micrograph", "halves differ", "no common axis"])
def test_groups_that_are_not_one_particle_are_not_joined(tmp_path: Path, why: str):
    """rlnGroupName of single-particle data names a micrograph's particles."""
    count = 24
    rotation = Rotation.random(count, random_state=2).as_matrix()
    groups = [f"group_{i % 8}" for i in range(count)]
    micrographs = [f"m{i % 8}" if why == "one micrograph" else f"m{i}" for i in range(count)]
    half = [i % 2 if why == "halves differ" else i % 8 % 2 for i in range(count)]
    if why == "halves differ":
        groups = [f"group_{i // 2}" for i in range(count)]
    particles = _pairs(tmp_path, groups, micrographs, rotation, np.zeros((count, 2)), half)
    assert particles.count == particles.images == count
    assert particles.tilt is None


def test_reading_a_model_writes_nothing_about_the_ctf_when_there_is_none(tmp_path: Path):
    with StackWriter(tmp_path / "p.mrcs", 16, 2.0) as stack:
        stack.append(np.random.default_rng(0).normal(size=(4, 16, 16)))
    write_star(tmp_path / "p.star", "p.mrcs", box=16, pixel_size=2.0, count=4)
    particles = read_particles(tmp_path / "p.star")
    assert particles.ctf is None
    assert any(note.startswith("no CTF columns") for note in particles.notes)


def test_negative_b_factors_damp(shared_data):
    """Warp and M write -4 × dose: what is read must never amplify, and must be said."""
    folder = shared_data / "cryodrgn_tests"
    particles = read_particles(folder / "sta_testing_bin8.star", datadir=folder)
    written = starfile.read(folder / "sta_testing_bin8.star")["rlnCtfBfactor"].to_numpy()
    assert (written < 0).any()
    np.testing.assert_allclose(particles.ctf.b_factor.numpy(), -written)
    assert any("rlnCtfBfactor" in note for note in particles.notes)
