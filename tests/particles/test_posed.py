"""Poses that were found, written into the original file: read back as they were, everything else in place."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hypermol.particles import read_particles, write_posed
from hypermol.particles.star import parse_star
from hypermol.simulation import Recipe, simulate


def poses(count, dimension=2):
    draw = np.random.default_rng(3)
    return Rotation.random(count, random_state=4).as_matrix(), draw.uniform(-6, 6, (count, dimension))


def check(path, rotation, shift, half):
    again = read_particles(path, require_images=False)
    np.testing.assert_allclose(again.rotation, rotation, atol=2e-7)
    np.testing.assert_allclose(again.shift, shift, atol=1e-5)
    np.testing.assert_array_equal(again.half, half)


def test_a_star_file_keeps_all_else(star: Path):
    particles = read_particles(star)
    rotation, shift = poses(particles.count)
    write_posed(particles, rotation, shift, star.parent / "posed.star")
    check(star.parent / "posed.star", rotation, shift, particles.half)
    before, after = (parse_star(p.read_text()) for p in (star, star.parent / "posed.star"))
    assert [t.name for t in before] == [t.name for t in after]
    changed = {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnRandomSubset"}
    for one, other in zip(before, after, strict=True):
        same = [name for name in one.columns if name not in changed]
        assert one.texts(same) == other.texts(same)


def test_columns_that_were_missing_are_added_also_for_some_of_the_particles(star: Path):
    lines = [line.replace("_rlnAngle", "_rlnOther") for line in star.read_text().split("\n")]
    (star.parent / "unposed.star").write_text("\n".join(lines))
    particles = read_particles(star.parent / "unposed.star").subset(np.array([5, 1, 7]))
    rotation, shift = poses(3)
    write_posed(particles, rotation, shift, star.parent / "posed.star")
    order = [1, 0, 2]  # images stay in the order of the file
    check(star.parent / "posed.star", rotation[order], shift[order], particles.half[order])


def test_a_file_of_relion_3_0_gets_pixels(star: Path):
    text = star.read_text()
    table = text[text.index("data_particles") :].replace("OriginXAngst", "OriginX").replace("OriginYAngst", "OriginY")
    (star.parent / "old.star").write_text(text[: text.index("data_particles")] + table)
    particles = read_particles(star.parent / "old.star")
    rotation, shift = poses(particles.count)
    write_posed(particles, rotation, shift, star.parent / "posed.star")
    assert "rlnOriginXAngst" not in (star.parent / "posed.star").read_text()
    check(star.parent / "posed.star", rotation, shift, particles.half)


def test_tilted_images_get_the_particles_pose_each_turned_by_its_tilt(tmp_path: Path):
    simulate(Recipe(name="homogeneous", n=6, box=16, tilts_deg=(0.0, 40.0), seed=2), tmp_path)
    particles = read_particles(tmp_path / "particles.star")
    rotation, shift = poses(6, 3)
    write_posed(particles, rotation, shift, tmp_path / "posed.star")
    again = read_particles(tmp_path / "posed.star")
    np.testing.assert_allclose(again.rotation, rotation, atol=1e-6)
    np.testing.assert_allclose(again.tilt, particles.tilt, atol=1e-6)


def test_a_cs_file_keeps_its_fields(shared_data: Path, tmp_path: Path):
    path = shared_data / "cryodrgn_tests/cryosparc_P12_J24_001_particles.cs"
    particles = read_particles(path, require_images=False)
    rotation, shift = poses(particles.count)
    write_posed(particles, rotation, shift, tmp_path / "posed.cs")
    check(tmp_path / "posed.cs", rotation, shift, particles.half)
    before, after = np.load(path), np.load(tmp_path / "posed.cs")
    assert set(before.dtype.names) <= set(after.dtype.names)
    for name in before.dtype.names:
        if not name.startswith("alignments3D/"):
            np.testing.assert_array_equal(before[name], after[name])


def test_a_plain_stack_gets_a_star_file(star: Path, tmp_path: Path):
    particles = read_particles(star.parent / "particles.mrcs", pixel_size=2.5)
    rotation, shift = poses(particles.count)
    write_posed(particles, rotation, shift, tmp_path / "posed.star")
    check(tmp_path / "posed.star", rotation, shift, particles.half)
    again = read_particles(tmp_path / "posed.star")
    assert (again.box, again.pixel_size, again.ctf) == (particles.box, 2.5, None)
    assert again.image_name(3) == f"000004@{(star.parent / 'particles.mrcs').resolve()}"


def test_contrast_and_defocus_go_to_every_image_of_a_particle(tmp_path: Path):
    simulate(Recipe(name="homogeneous", n=6, box=16, tilts_deg=(0.0, 40.0), astigmatism=300.0, seed=2), tmp_path)
    particles = read_particles(tmp_path / "particles.star")
    contrast, change = np.linspace(0.5, 1.5, 6), np.linspace(-900, 900, 6)
    poses_ = poses(6, 3)
    out = tmp_path / "posed.star"
    write_posed(particles, *poses_, out, contrast=contrast, defocus_change_angstrom=change)
    again, owner = read_particles(out), particles.image_particle
    for name in ("defocus_u", "defocus_v"):
        found = (getattr(again.ctf, name) - getattr(particles.ctf, name)).numpy()
        np.testing.assert_allclose(found, change[owner], atol=2e-6)
    np.testing.assert_allclose(again.ctf.scale.numpy(), contrast[owner], atol=1e-6)
    np.testing.assert_allclose(again.ctf.astigmatism_angle, particles.ctf.astigmatism_angle)


def test_contrast_and_defocus_in_a_cs_file(shared_data: Path, tmp_path: Path):
    path = shared_data / "cryodrgn_tests/cryosparc_P12_J24_001_particles.cs"
    particles = read_particles(path, require_images=False)
    draw = np.random.default_rng(5)
    contrast, change = draw.uniform(0.5, 1.5, particles.count), draw.normal(0, 500, particles.count)
    expanded = np.stack([np.eye(3), np.diag([-1.0, -1.0, 1.0])])
    for group, times in ((None, 1), (expanded, 2)):
        out = tmp_path / f"posed{times}.cs"
        write_posed(particles, *poses(particles.count), out, group, contrast, change)
        before, after = (np.repeat(np.load(path), times), np.load(out))
        for name in ("df1_A", "df2_A"):
            expected = before[f"ctf/{name}"] + np.repeat(change, times)
            np.testing.assert_allclose(after[f"ctf/{name}"], expected, rtol=1e-6)
        scale = read_particles(out, require_images=False).ctf.scale.numpy()
        np.testing.assert_allclose(scale, np.repeat(particles.ctf.scale.numpy() * contrast, times), rtol=1e-6)
